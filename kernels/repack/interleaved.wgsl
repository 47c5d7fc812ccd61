// AWQ's order of eight nibbles: rows 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits on.

fn place_of(row: u32) -> u32 {
  return row / 2u + row % 2u * 4u;
}
