// Reads Q8_0, as quant/q8_0.wgsl lays it out, for 8-bit dot products. See dot4/q4_0.wgsl for what a
// reader does.

struct Stored {
  low: vec4<u32>,
  high: vec4<u32>,
  scales: vec2<u32>,
}

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

fn load_unit(unit: u32) -> Stored {
  return Stored(quants[unit * 2u], quants[unit * 2u + 1u], scales[unit / 4u]);
}

const ZERO_POINT = 0.0;

fn raw_words(stored: Stored) -> array<vec4<u32>, 2> {
  return signed_words(stored);
}

// Bytes are kept plus 128.
fn signed_words(stored: Stored) -> array<vec4<u32>, 2> {
  return array(stored.low ^ vec4(0x80808080u), stored.high ^ vec4(0x80808080u));
}

${dot4/scales}
${dot4/scaled}
