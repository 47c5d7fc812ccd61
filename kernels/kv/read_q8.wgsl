// Reads groups of 8 elements of the KV cache, 8-bit: 2 words a group.
@group(0) @binding(2) var<storage, read> kv: array<vec2<u32>>;

${q8}

// Bytes are kept plus 128. Shifted to bits 15-22 under the exponent of 256, one is the float
// 256 + byte: no conversion.
fn elements(word: u32) -> vec4<f32> {
  let shifted = vec4(word << 15u, word << 7u, word >> 1u, word >> 9u);
  return bitcast<vec4<f32>>((shifted & vec4(0x007f8000u)) | vec4(0x43800000u)) - 384.0;
}

// x: the greatest of the keys in the block that a group belongs to, y: of the values.
fn kv_scales(page: u32, kv_head: u32, part: u32, position: u32) -> vec2<f32> {
  let at = q8_scales(page, kv_head * (HEAD_DIM / 8u) + part, position);
  let pair = kv[at / 2u];
  return unpack2x16float(select(pair.x, pair.y, at % 2u == 1u)) / 127.0;
}

fn key_read(page: u32, kv_head: u32, part: u32, position: u32) -> array<vec4<f32>, 2> {
  let packed = kv[q8_page(page) / 2u + key_group(kv_head, part, position)];
  let scale = kv_scales(page, kv_head, part, position).x;
  return array(elements(packed.x) * scale, elements(packed.y) * scale);
}

fn value_read(page: u32, kv_head: u32, part: u32, position: u32) -> array<vec4<f32>, 2> {
  let packed = kv[q8_page(page) / 2u + value_group(kv_head, part, position)];
  let scale = kv_scales(page, kv_head, part, position).y;
  return array(elements(packed.x) * scale, elements(packed.y) * scale);
}
