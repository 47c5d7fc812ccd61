// Reader of Q2_K: 16 weights of a row = d * scale * code - m * minimum, 2 bits a code, 4 the scale and
// the minimum, f16 d and m of 256 weights.
// See quant/f32.wgsl for what a reader does.

${quant/twos}
${quant/affine}
${quant/scales_q2_k}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  let words = words_in(load_codes(unit), unit);
  return columns_in(words[0], words[1], 3u, 0.0);
}
