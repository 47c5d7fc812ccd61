// Reads a group of 8 elements of the KV cache, float32.
@group(0) @binding(2) var<storage, read> kv: array<vec4<f32>>;

fn kv_read(group: u32) -> array<vec4<f32>, 2> {
  return array(kv[group * 2u], kv[group * 2u + 1u]);
}
