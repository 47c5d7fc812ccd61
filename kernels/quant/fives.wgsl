// 5-bit codes. A block of a quad takes 5 vec4, a word a row: the nibbles of each of its units as in
// quant/fours.wgsl, then the highest bits of all (quant/bits.wgsl).

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/bytes}
${quant/bits}

fn codes_of(unit: u32, zero: f32) -> array<vec4<f32>, 8> {
  let block = unit / 4u * 5u;
  let q = quants[block + unit % 4u];
  let h = shifted_bits(quants[block + 4u], unit);
  let low = (q & vec4(0x0f0f0f0fu)) | ((h << vec4(4u)) & vec4(0x10101010u));
  let high = ((q >> vec4(4u)) & vec4(0x0f0f0f0fu)) | ((h << vec4(3u)) & vec4(0x10101010u));
  return columns_in(low, high, 0x1fu, zero);
}
