// Reader of Q5_K: as Q4_K (quant/q4_k.wgsl), with codes of 5 bits.

${quant/fives}
${quant/affine}
${quant/scales_k}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  return codes_of(unit, 0.0);
}
