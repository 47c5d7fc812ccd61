// Reads groups of 8 elements of the KV cache, float16.
@group(0) @binding(2) var<storage, read> kv: array<vec4<u32>>;

fn kv_read(group: u32) -> array<vec4<f32>, 2> {
  let packed = kv[group];
  return array(vec4(unpack2x16float(packed.x), unpack2x16float(packed.y)),
               vec4(unpack2x16float(packed.z), unpack2x16float(packed.w)));
}

fn key_read(page: u32, kv_head: u32, part: u32, position: u32) -> array<vec4<f32>, 2> {
  return kv_read(page * 2u * position_groups() * PAGE + key_group(kv_head, part, position));
}

fn value_read(page: u32, kv_head: u32, part: u32, position: u32) -> array<vec4<f32>, 2> {
  return kv_read(page * 2u * position_groups() * PAGE + value_group(kv_head, part, position));
}
