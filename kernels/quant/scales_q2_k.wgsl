// Scales and minima of Q2_K. A super-block of a quad (8 blocks) takes 5 vec4, a word a row: the f16
// scale d and minimum m; then scales 4j .. 4j + 3, of 16 columns each, a byte each with the scale in the
// low nibble, the minimum in the high one.

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

struct StoredScales {
  all: vec4<u32>,
  own: vec4<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  let at = unit / 32u * 5u;
  return StoredScales(scales[at], scales[at + 1u + unit / 8u % 4u]);
}

fn scales_in(stored: StoredScales, unit: u32) -> Scales {
  let all = unpacked(stored.all);
  let own = stored.own >> vec4(unit / 2u % 4u * 8u);
  return Scales(all.scale * byte0(own, 15u, 0.0), all.minimum * -byte0(own >> vec4(4u), 15u, 0.0));
}

fn scales_of(unit: u32) -> Scales {
  return scales_in(load_scales(unit), unit);
}
