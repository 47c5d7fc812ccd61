// Reader of float32 weights.
//
// All readers: rows lie in quads, and a quad in units of 4 rows x 8 columns; unit u of quad r is
// number r * UNITS + u. A unit's columns are vec4, an element a row.
// Here a unit is 8 vec4, one a column.
//
// unit_columns(unit)      its 8 columns
// dot_unit(unit, x0, x1)  each row's product with 8 values of x
// row_unit(row, u)        8 weights of one row

@group(0) @binding(1) var<storage, read> quants: array<vec4<f32>>;

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let at = unit * 8u;
  return array(quants[at], quants[at + 1u], quants[at + 2u], quants[at + 3u],
               quants[at + 4u], quants[at + 5u], quants[at + 6u], quants[at + 7u]);
}

fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let w = unit_columns(unit);
  return x0.x * w[0] + x0.y * w[1] + x0.z * w[2] + x0.w * w[3]
       + x1.x * w[4] + x1.y * w[5] + x1.z * w[6] + x1.w * w[7];
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let w = unit_columns(row / 4u * UNITS + u);
  let r = row % 4u;
  return array(vec4(w[0][r], w[1][r], w[2][r], w[3][r]), vec4(w[4][r], w[5][r], w[6][r], w[7][r]));
}
