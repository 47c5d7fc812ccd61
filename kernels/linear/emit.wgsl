// What a linear kernel does with its sums: bias, and the epilogue for the pairs of a quad of rows. And
// what the tiles of a GEMM are: rows of x as they follow each other, with all of the slice.

${linear/bias}

// Rows n .. n + 3 of the slice, those that it has, for row m of x.
fn emit_quad(m: u32, n: u32, v: vec4<f32>) {
  let row = ROW0 + n;
  if (n < SLICE) {
    emit(m, row, vec2(biased(row, v.x), biased(min(row + 1u, N - 1u), v.y)));
  }
  if (n + 2u < SLICE) {
    emit(m, row + 2u, vec2(biased(row + 2u, v.z), biased(min(row + 3u, N - 1u), v.w)));
  }
}

struct RowTile {
  m0: u32,
}

// The tile of that number, of so many rows.
fn tile_of(number: u32, rows: u32) -> RowTile {
  return RowTile(number * rows);
}

fn is_held(tile: RowTile) -> bool {
  return true;
}

// Which row of x is row m.
fn x_row(tile: RowTile, m: u32) -> u32 {
  return m;
}

// How many rows of the weight a tile has, and which quad of the slice is its first.
fn w_rows() -> u32 {
  return SLICE;
}

fn w_quad(tile: RowTile) -> u32 {
  return 0u;
}

fn emit_tile(tile: RowTile, m: u32, n: u32, v: vec4<f32>) {
  emit_quad(m, n, v);
}
