// 3-bit codes. A block of a quad takes 3 vec4, a word a row: the lower bits of two units each, then the
// highest bits of all four (quant/bits.wgsl).

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/bytes}
${quant/bits}

struct Codes {
  lower: vec4<u32>,
  upper: vec4<u32>,
}

fn load_codes(unit: u32) -> Codes {
  let block = unit / 4u * 3u;
  return Codes(quants[block + unit % 4u / 2u], quants[block + 2u]);
}

// Columns 0-3 in the bytes of a word a row, then columns 4-7.
fn words_in(codes: Codes, unit: u32) -> array<vec4<u32>, 2> {
  let q = shifted_pairs(codes.lower, unit);
  let h = shifted_bits(codes.upper, unit);
  return array((q & vec4(0x03030303u)) | ((h << vec4(2u)) & vec4(0x04040404u)),
               ((q >> vec4(2u)) & vec4(0x03030303u)) | ((h << vec4(1u)) & vec4(0x04040404u)));
}

fn codes_of(unit: u32, zero: f32) -> array<vec4<f32>, 8> {
  let words = words_in(load_codes(unit), unit);
  return columns_in(words[0], words[1], 7u, zero);
}
