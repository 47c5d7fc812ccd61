// The end of a reader whose weights are scale * column + minimum: it has unscaled_columns(unit), whole
// numbers, and scales_of(unit).

${quant/row_unit}
${quant/pairs}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let c = unscaled_columns(unit);
  let s = scales_of(unit);
  return array(c[0] * s.scale + s.minimum, c[1] * s.scale + s.minimum,
               c[2] * s.scale + s.minimum, c[3] * s.scale + s.minimum,
               c[4] * s.scale + s.minimum, c[5] * s.scale + s.minimum,
               c[6] * s.scale + s.minimum, c[7] * s.scale + s.minimum);
}

// The minimum is multiplied once, with the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let c = unscaled_columns(unit);
  let s = scales_of(unit);
  let sum = x0.x * c[0] + x0.y * c[1] + x0.z * c[2] + x0.w * c[3]
          + x1.x * c[4] + x1.y * c[5] + x1.z * c[6] + x1.w * c[7];
  return sum * s.scale + dot(x0 + x1, vec4(1.0)) * s.minimum;
}
