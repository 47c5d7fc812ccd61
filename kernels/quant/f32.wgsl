// Reader of float32 weights.
//
// All readers: rows lie in quads, and within a quad in units of 4 rows x 8 columns; unit u of quad r
// is number r * UNITS + u. Here a unit is 8 vec4: columns 0-3 and 4-7 of each row in turn.
// unit_rows(unit): the 4 x 8 weights.  dot_unit(unit, x0, x1): each row's product with 8 values of x.
// row_unit(row, u): 8 weights of one row.

@group(0) @binding(1) var<storage, read> quants: array<vec4<f32>>;

struct Rows {
  low: mat4x4<f32>,   // column i of the matrix: columns 0-3 of row i
  high: mat4x4<f32>,  // columns 4-7
}

fn unit_rows(unit: u32) -> Rows {
  let at = unit * 8u;
  return Rows(mat4x4(quants[at], quants[at + 2u], quants[at + 4u], quants[at + 6u]),
              mat4x4(quants[at + 1u], quants[at + 3u], quants[at + 5u], quants[at + 7u]));
}

fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let rows = unit_rows(unit);
  return x0 * rows.low + x1 * rows.high;
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let at = (row / 4u * UNITS + u) * 8u + row % 4u * 2u;
  return array(quants[at], quants[at + 1u]);
}
