// The order of most files: a tensor's rows follow one another.

fn blocks_of_piece() -> u32 {
  return piece[0] * BLOCKS;
}

fn row_of(source: u32) -> u32 {
  return piece[1] + source / BLOCKS;
}

// Which block of its row.
fn block_of(source: u32) -> u32 {
  return source % BLOCKS;
}

// For tensors that hold groups of a row: where element j stands of group g, of so many a row, of so
// many elements each.
fn stored_at(source: u32, g: u32, groups: u32, size: u32, j: u32) -> u32 {
  return (source / BLOCKS * groups + g) * size + j;
}
