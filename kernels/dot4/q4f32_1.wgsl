// Reads MLC's q4f32_1, as quant/fours.wgsl lays it out, for 8-bit dot products. See dot4/q4_0.wgsl for
// what a reader does.

const ZEROS = 0x07070707u;

${dot4/fours}

fn scales_of(stored: Stored) -> vec4<f32> {
  let s = stored.scales;
  return bitcast<vec4<f32>>(vec4(s.x << 16u, s.x & 0xffff0000u, s.y << 16u, s.y & 0xffff0000u));
}
