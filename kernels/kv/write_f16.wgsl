// Stores elements i, i+1 (i even) of a group of 8 in the KV cache, as float16: 4 words a group.
fn kv_write(group: u32, i: u32, v: vec2<f32>) {
  // pack2x16float leaves values past the range of float16 undefined.
  kv[group * 4u + i / 2u] = pack2x16float(clamp(v, vec2(-65504.0), vec2(65504.0)));
}
