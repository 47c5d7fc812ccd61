// 2-bit codes. A block of a quad takes 2 vec4, a word a row, for two units each (quant/bits.wgsl).

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/bytes}
${quant/bits}

struct Codes {
  words: vec4<u32>,
}

fn load_codes(unit: u32) -> Codes {
  return Codes(quants[unit / 2u]);
}

// Columns 0-3 in the bytes of a word a row, then columns 4-7.
fn words_in(codes: Codes, unit: u32) -> array<vec4<u32>, 2> {
  let q = shifted_pairs(codes.words, unit);
  return array(q & vec4(0x03030303u), (q >> vec4(2u)) & vec4(0x03030303u));
}
