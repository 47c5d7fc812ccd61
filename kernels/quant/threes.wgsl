// 3-bit codes. A block of a quad takes 3 vec4, a word a row: the lower bits of two units each, then the
// highest bits of all four (quant/bits.wgsl).

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/bytes}
${quant/bits}

fn codes_of(unit: u32, zero: f32) -> array<vec4<f32>, 8> {
  let block = unit / 4u * 3u;
  let q = shifted_pairs(quants[block + unit % 4u / 2u], unit);
  let h = shifted_bits(quants[block + 2u], unit);
  let low = (q & vec4(0x03030303u)) | ((h << vec4(2u)) & vec4(0x04040404u));
  let high = ((q >> vec4(2u)) & vec4(0x03030303u)) | ((h << vec4(1u)) & vec4(0x04040404u));
  return columns_in(low, high, 7u, zero);
}
