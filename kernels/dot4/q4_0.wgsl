// Reads Q4_0, as quant/q4_0.wgsl lays it out, for 8-bit dot products.
//
// All of these readers:
// load_unit(unit)      a unit as it is stored, and the scales of its block
// signed_words(stored) its 8 columns: a word a row of the quad, columns 0-3, then 4-7; int8 each
// scales_of(stored)    what 1 stands for in each row of the quad
//
// What is loaded is to be decoded later: until then nobody waits for it.

struct Stored {
  words: vec4<u32>,
  scales: vec2<u32>,
}

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn load_unit(unit: u32) -> Stored {
  return Stored(quants[unit], scales[unit / 4u]);
}

fn scales_of(stored: Stored) -> vec4<f32> {
  return vec4(unpack2x16float(stored.scales.x), unpack2x16float(stored.scales.y));
}

// Nibbles less 8, four a word; no byte borrows from the next.
fn less_8(nibbles: vec4<u32>) -> vec4<u32> {
  return ((nibbles | vec4(0x80808080u)) - vec4(0x08080808u)) ^ vec4(0x80808080u);
}

fn signed_words(stored: Stored) -> array<vec4<u32>, 2> {
  return array(less_8(stored.words & vec4(0x0f0f0f0fu)),
               less_8((stored.words >> vec4(4u)) & vec4(0x0f0f0f0fu)));
}
