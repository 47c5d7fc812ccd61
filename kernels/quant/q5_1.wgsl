// Reader of Q5_1: 32 weights of a row = scale * code + minimum, 5 bits a code, f16 both.
// See quant/f32.wgsl for what a reader does. Scales: as in quant/q4_1.wgsl.

${quant/fives}
${quant/affine}

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

fn scales_of(unit: u32) -> Scales {
  return unpacked(scales[unit / 4u]);
}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  return codes_of(unit, 0.0);
}
