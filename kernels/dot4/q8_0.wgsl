// Reads Q8_0, as quant/q8_0.wgsl lays it out, for 8-bit dot products. See dot4/q4_0.wgsl for what a
// reader does.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn scales_of(unit: u32) -> vec4<f32> {
  let packed = scales[unit / 4u];
  return vec4(unpack2x16float(packed.x), unpack2x16float(packed.y));
}

// Bytes are kept plus 128.
fn signed_words(unit: u32) -> array<vec4<u32>, 2> {
  return array(quants[unit * 2u] ^ vec4(0x80808080u), quants[unit * 2u + 1u] ^ vec4(0x80808080u));
}
