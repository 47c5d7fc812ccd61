// Reads Q4_0, as quant/fours.wgsl lays it out, for 8-bit dot products.
//
// All of these readers:
// load_unit(unit)      a unit as it is stored, and the scales of its block
// signed_words(stored) its 8 columns: a word a row of the quad, columns 0-3, then 4-7; int8 each
// raw_words(stored)    the same plus ZERO_POINT each: less to do
// scales_of(stored)    what 1 stands for in each row of the quad
//
// What is loaded is to be decoded later: until then nobody waits for it.

const ZEROS = 0x08080808u;

${dot4/fours}

fn scales_of(stored: Stored) -> vec4<f32> {
  return vec4(unpack2x16float(stored.scales.x), unpack2x16float(stored.scales.y));
}
