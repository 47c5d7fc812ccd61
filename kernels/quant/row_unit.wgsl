// A reader's row_unit out of its unit_columns.

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let w = unit_columns(row / 4u * UNITS + u);
  let r = row % 4u;
  return array(vec4(w[0][r], w[1][r], w[2][r], w[3][r]), vec4(w[4][r], w[5][r], w[6][r], w[7][r]));
}
