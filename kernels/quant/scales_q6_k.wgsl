// Scales of Q6_K. A super-block of a quad (8 blocks) takes 5 vec4, a word a row: the scale d as f32;
// then scales 4j .. 4j + 3, of 16 columns each, a byte plus 128.

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

struct StoredScales {
  all: vec4<u32>,
  own: vec4<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  let at = unit / 32u * 5u;
  return StoredScales(scales[at], scales[at + 1u + unit / 8u % 4u]);
}

fn scales_in(stored: StoredScales, unit: u32) -> vec4<f32> {
  let own = stored.own >> vec4(unit / 2u % 4u * 8u);
  return bitcast<vec4<f32>>(stored.all) * byte0(own, 0xffu, 128.0);
}

fn scales_of(unit: u32) -> vec4<f32> {
  return scales_in(load_scales(unit), unit);
}
