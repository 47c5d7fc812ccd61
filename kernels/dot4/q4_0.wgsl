// Reads Q4_0, as quant/q4_0.wgsl lays it out, for 8-bit dot products.
//
// All of these readers:
// signed_words(unit)  8 columns of a quad: a word a row, columns 0-3, then 4-7; int8 each
// scales_of(unit)     what 1 stands for, a row of the quad each

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn scales_of(unit: u32) -> vec4<f32> {
  let packed = scales[unit / 4u];
  return vec4(unpack2x16float(packed.x), unpack2x16float(packed.y));
}

// Nibbles less 8, four a word; no byte borrows from the next.
fn less_8(nibbles: vec4<u32>) -> vec4<u32> {
  return ((nibbles | vec4(0x80808080u)) - vec4(0x08080808u)) ^ vec4(0x80808080u);
}

fn signed_words(unit: u32) -> array<vec4<u32>, 2> {
  let q = quants[unit];
  return array(less_8(q & vec4(0x0f0f0f0fu)), less_8((q >> vec4(4u)) & vec4(0x0f0f0f0fu)));
}
