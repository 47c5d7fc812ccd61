// Stores elements i, i+1 (i even) of a group of 8 in the KV cache, as float32: 8 words a group.
fn kv_write(group: u32, i: u32, v: vec2<f32>) {
  kv[group * 8u + i] = bitcast<u32>(v.x);
  kv[group * 8u + i + 1u] = bitcast<u32>(v.y);
}
