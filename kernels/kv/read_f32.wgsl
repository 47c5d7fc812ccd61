// Reads groups of 8 elements of the KV cache, float32.
@group(0) @binding(2) var<storage, read> kv: array<vec4<f32>>;

fn kv_read(group: u32) -> array<vec4<f32>, 2> {
  return array(kv[group * 2u], kv[group * 2u + 1u]);
}

fn key_read(page: u32, kv_head: u32, part: u32, position: u32) -> array<vec4<f32>, 2> {
  return kv_read(page * 2u * position_groups() * PAGE + key_group(kv_head, part, position));
}

fn value_read(page: u32, kv_head: u32, part: u32, position: u32) -> array<vec4<f32>, 2> {
  return kv_read(page * 2u * position_groups() * PAGE + value_group(kv_head, part, position));
}
