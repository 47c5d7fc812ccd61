// GPTQ's order of a word's codes: row after row from the lowest bits on.

fn place_of(row: u32) -> u32 {
  return row;
}
