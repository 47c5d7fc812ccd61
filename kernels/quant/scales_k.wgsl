// Scales and minima of Q4_K and Q5_K. A super-block of a quad (8 blocks) takes 5 vec4, a word a row:
// the f16 scale d and minimum m; then blocks 2j and 2j + 1, in bytes: scale, minimum, scale, minimum.
// A block's scale is d times its own, its minimum m times its own, taken off.

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
  let own = stored.own >> vec4(unit / 4u % 2u * 16u);
  return Scales(all.scale * byte0(own, 0xffu, 0.0), all.minimum * -byte1(own, 0xffu, 0.0));
}

fn scales_of(unit: u32) -> Scales {
  return scales_in(load_scales(unit), unit);
}
