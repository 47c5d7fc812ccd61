// Scales of Q3_K. A super-block of a quad (8 blocks) takes 4 vec4, a word a row: the scale d as f32; of
// the scales of 16 columns each, plus 32, the lower four bits of 0 .. 7, of 8 .. 15, and the upper two
// of all.

const BLOCK_SCALES = 2u;

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

struct StoredScales {
  all: vec4<u32>,
  lower: vec4<u32>,
  upper: vec4<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  let at = unit / 32u * 4u;
  return StoredScales(scales[at], scales[at + 1u + unit / 16u % 2u], scales[at + 3u]);
}

fn scales_in(stored: StoredScales, unit: u32) -> vec4<f32> {
  let i = unit / 2u % 16u;
  let lower = (stored.lower >> vec4(i % 8u * 4u)) & vec4(15u);
  let upper = (stored.upper >> vec4(i * 2u)) & vec4(3u);
  return bitcast<vec4<f32>>(stored.all) * byte0(lower | (upper << vec4(4u)), 0x3fu, 32.0);
}

fn scales_of(unit: u32) -> vec4<f32> {
  return scales_in(load_scales(unit), unit);
}
