// Codes of 4 bits, a unit a vec4 as in quant/fours.wgsl.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

struct Codes {
  words: vec4<u32>,
}

fn load_codes(unit: u32) -> Codes {
  return Codes(quants[unit]);
}

fn words_in(codes: Codes, unit: u32) -> array<vec4<u32>, 2> {
  return array(codes.words & vec4(0x0f0f0f0fu), (codes.words >> vec4(4u)) & vec4(0x0f0f0f0fu));
}
