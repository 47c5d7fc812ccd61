// Reader of Q6_K: 16 weights of a row = d * scale * (code - 32), 6 bits a code, 8 signed bits the scale,
// f16 d of 256 weights.
// See quant/f32.wgsl for what a reader does. A block of a quad takes 6 vec4, a word a row: the nibbles
// of each of its units as in quant/fours.wgsl, then the upper bits of two units each (quant/bits.wgsl).
// Scales: a super-block of a quad takes 5 vec4: d as f32; then scales 4j .. 4j + 3, each plus 128.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

${quant/bytes}
${quant/bits}
${quant/scaled}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  let block = unit / 4u * 6u;
  let q = quants[block + unit % 4u];
  let h = shifted_pairs(quants[block + 4u + unit % 4u / 2u], unit);
  let low = (q & vec4(0x0f0f0f0fu)) | ((h << vec4(4u)) & vec4(0x30303030u));
  let high = ((q >> vec4(4u)) & vec4(0x0f0f0f0fu)) | ((h << vec4(2u)) & vec4(0x30303030u));
  return columns_in(low, high, 0x3fu, 32.0);
}

fn scales_of(unit: u32) -> vec4<f32> {
  let at = unit / 32u * 5u;
  let i = unit / 2u % 16u;
  let own = scales[at + 1u + i / 4u] >> vec4(i % 4u * 8u);
  return bitcast<vec4<f32>>(scales[at]) * byte0(own, 0xffu, 128.0);
}
