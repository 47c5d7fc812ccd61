// The end of a reader whose columns need no scale: dot_unit and row_unit out of unit_columns.

${quant/row_unit}

fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let w = unit_columns(unit);
  return x0.x * w[0] + x0.y * w[1] + x0.z * w[2] + x0.w * w[3]
       + x1.x * w[4] + x1.y * w[5] + x1.z * w[6] + x1.w * w[7];
}
