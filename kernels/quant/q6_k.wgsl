// Reader of Q6_K: 16 weights of a row = d * scale * (code - 32), 6 bits a code, 8 signed bits the scale,
// f16 d of 256 weights.
// See quant/f32.wgsl for what a reader does.

${quant/sixes}
${quant/scaled}
${quant/scales_q6_k}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  let words = words_in(load_codes(unit), unit);
  return columns_in(words[0], words[1], 0x3fu, 32.0);
}
