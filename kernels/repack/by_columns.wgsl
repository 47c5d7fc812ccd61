// The order of a transposed tensor: an element of every row, then the next one of every row. A piece is
// whole groups of all rows, [0] so many, [1] from that one on; a group is a block of 32 columns.

override ROWS: u32;     // of the tensor's that this kernel places
override FIRST: u32;    // the first of them
override STORED: u32;   // rows of the file's tensor, of which this tensor is some
override FROM: u32;     // from that one on

fn blocks_of_piece() -> u32 {
  return piece[0] * ROWS;
}

fn row_of(source: u32) -> u32 {
  return FIRST + source % ROWS;
}

fn block_of(source: u32) -> u32 {
  return piece[1] + source / ROWS;
}

// See repack/by_rows.wgsl.
fn stored_at(source: u32, g: u32, groups: u32, size: u32, j: u32) -> u32 {
  return ((g - piece[1]) * size + j) * STORED + FROM + FIRST + source % ROWS;
}
