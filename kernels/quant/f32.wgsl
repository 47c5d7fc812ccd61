// Reader of float32 weights.
//
// All readers: rows lie in quads, and a quad in units of 4 rows x 8 columns; unit u of quad r is
// number r * UNITS + u. A unit's columns are vec4, an element a row.
// Here a unit is 8 vec4, one a column.
//
// unit_columns(unit)      its 8 columns
// dot_unit(unit, x0, x1)  each row's product with 8 values of x
// row_unit(row, u)        8 weights of one row
//
// quant/plain, quant/scaled and quant/affine make two or all three of them out of less.

@group(0) @binding(1) var<storage, read> quants: array<vec4<f32>>;

${quant/plain}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let at = unit * 8u;
  return array(quants[at], quants[at + 1u], quants[at + 2u], quants[at + 3u],
               quants[at + 4u], quants[at + 5u], quants[at + 6u], quants[at + 7u]);
}
