// The end of a reader whose weights are scale * column: it has unscaled_columns(unit), whole numbers,
// and scales_of(unit), a scale a row.

${quant/row_unit}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let c = unscaled_columns(unit);
  let s = scales_of(unit);
  return array(c[0] * s, c[1] * s, c[2] * s, c[3] * s, c[4] * s, c[5] * s, c[6] * s, c[7] * s);
}

fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let c = unscaled_columns(unit);
  return scales_of(unit) * (x0.x * c[0] + x0.y * c[1] + x0.z * c[2] + x0.w * c[3]
                          + x1.x * c[4] + x1.y * c[5] + x1.z * c[6] + x1.w * c[7]);
}
