// Reads MLC's q4f16_1, as quant/fours.wgsl lays it out, for 8-bit dot products. See dot4/q4_0.wgsl for
// what a reader does.

const ZEROS = 0x07070707u;

${dot4/fours}

fn scales_of(stored: Stored) -> vec4<f32> {
  return vec4(unpack2x16float(stored.scales.x), unpack2x16float(stored.scales.y));
}
