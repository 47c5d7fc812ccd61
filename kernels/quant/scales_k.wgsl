// Scales and minima of Q4_K and Q5_K. A super-block of a quad (8 blocks) takes 5 vec4, a word a row:
// the f16 scale d and minimum m; then blocks 2j and 2j + 1, in bytes: scale, minimum, scale, minimum.
// A block's scale is d times its own, its minimum m times its own, taken off.

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

fn scales_of(unit: u32) -> Scales {
  let at = unit / 32u * 5u;
  let block = unit / 4u % 8u;
  let all = unpacked(scales[at]);
  let own = scales[at + 1u + block / 2u] >> vec4(block % 2u * 16u);
  return Scales(all.scale * byte0(own, 0xffu, 0.0), all.minimum * -byte1(own, 0xffu, 0.0));
}
