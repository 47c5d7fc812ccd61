// Reader of Q2_K: 16 weights of a row = d * scale * code - m * minimum, 2 bits a code, 4 the scale and
// the minimum, f16 d and m of 256 weights.
// See quant/f32.wgsl for what a reader does. A block of a quad takes 2 vec4, for two units each
// (quant/bits.wgsl). Scales: a super-block of a quad takes 5 vec4, a word a row: d and m; then scales
// 4j .. 4j + 3, a byte each with the scale in the low nibble, the minimum in the high one.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

${quant/bytes}
${quant/bits}
${quant/affine}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  let q = shifted_pairs(quants[unit / 2u], unit);
  return columns_in(q, q >> vec4(2u), 3u, 0.0);
}

fn scales_of(unit: u32) -> Scales {
  let at = unit / 32u * 5u;
  let i = unit / 2u % 16u;
  let all = unpacked(scales[at]);
  let own = scales[at + 1u + i / 4u] >> vec4(i % 4u * 8u);
  return Scales(all.scale * byte0(own, 15u, 0.0), all.minimum * -byte0(own >> vec4(4u), 15u, 0.0));
}
