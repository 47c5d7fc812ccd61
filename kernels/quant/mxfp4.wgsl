// Reader of MXFP4 (Open Compute's Microscaling Formats 1.0): 32 weights of a row = 2^(exponent - 127)
// times a 4-bit float: 0, 0.5, 1, 1.5, 2, 3, 4, 6 or their negatives.
// See quant/f32.wgsl for what a reader does. Scales: quad by quad, block by block, the exponents of the
// four rows in the bytes of a word. Exponents 0 and 1 may give 0: a GPU need not know numbers that small.

@group(0) @binding(2) var<storage, read> scales: array<u32>;

const ZERO = 12.0;
// Twice the floats.
const VALUES = vec4<u32>(0x0f0e0d0cu, 0x18141210u, 0x090a0b0cu, 0x00040608u);

${quant/lookup}
${quant/scaled}

fn scales_of(unit: u32) -> vec4<f32> {
  let word = scales[unit / 4u];
  let bits = vec4(word << 23u, word << 15u, word << 7u, word >> 1u) & vec4(0x7f800000u);
  return 0.5 * bitcast<vec4<f32>>(bits);
}
