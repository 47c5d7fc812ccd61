// Reader of Q4_K: 32 weights of a row = d * scale * nibble - m * minimum, 6 bits the scale and the
// minimum, f16 d and m of 256 weights.
// See quant/f32.wgsl for what a reader does. A unit is one vec4, as in quant/fours.wgsl.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/bytes}
${quant/affine}
${quant/scales_k}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  let q = quants[unit];
  return columns_in(q, q >> vec4(4u), 0x0fu, 0.0);
}
