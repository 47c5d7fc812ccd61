// Reader of Q5_0: 32 weights of a row = scale * (code - 16), 5 bits a code, one f16 scale.
// See quant/f32.wgsl for what a reader does.

${quant/fives}
${quant/scaled}
${quant/scales}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  return codes_of(unit, 16.0);
}
