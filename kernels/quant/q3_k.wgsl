// Reader of Q3_K: 16 weights of a row = d * (scale - 32) * (code - 4), 3 bits a code, 6 the scale, f16 d
// of 256 weights.
// See quant/f32.wgsl for what a reader does.

${quant/threes}
${quant/scaled}
${quant/scales_q3_k}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  return codes_of(unit, 4.0);
}
