// 5-bit codes. A block of a quad takes 5 vec4, a word a row: the nibbles of each of its units as in
// quant/fours.wgsl, then the highest bits of all (quant/bits.wgsl).

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/bytes}
${quant/bits}

struct Codes {
  nibbles: vec4<u32>,
  upper: vec4<u32>,
}

fn load_codes(unit: u32) -> Codes {
  let block = unit / 4u * 5u;
  return Codes(quants[block + unit % 4u], quants[block + 4u]);
}

// Columns 0-3 in the bytes of a word a row, then columns 4-7.
fn words_in(codes: Codes, unit: u32) -> array<vec4<u32>, 2> {
  let q = codes.nibbles;
  let h = shifted_bits(codes.upper, unit);
  return array((q & vec4(0x0f0f0f0fu)) | ((h << vec4(4u)) & vec4(0x10101010u)),
               ((q >> vec4(4u)) & vec4(0x0f0f0f0fu)) | ((h << vec4(3u)) & vec4(0x10101010u)));
}

fn codes_of(unit: u32, zero: f32) -> array<vec4<f32>, 8> {
  let words = words_in(load_codes(unit), unit);
  return columns_in(words[0], words[1], 0x1fu, zero);
}
