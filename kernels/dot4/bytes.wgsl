// Codes of 8 bits, a unit two vec4 as in quant/q8_0.wgsl; as int8 they are less 128.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

struct Codes {
  low: vec4<u32>,
  high: vec4<u32>,
}

fn load_codes(unit: u32) -> Codes {
  return Codes(quants[unit * 2u], quants[unit * 2u + 1u]);
}

fn words_in(codes: Codes, unit: u32) -> array<vec4<u32>, 2> {
  return array(codes.low ^ vec4(0x80808080u), codes.high ^ vec4(0x80808080u));
}
