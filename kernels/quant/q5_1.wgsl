// Reader of Q5_1: 32 weights of a row = scale * code + minimum, 5 bits a code, f16 both.
// See quant/f32.wgsl for what a reader does.

${quant/fives}
${quant/affine}
${quant/scales_q4_1}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  return codes_of(unit, 0.0);
}
