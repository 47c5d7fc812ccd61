// The last key that a row of a chunk attends to: its own.

fn last_key(m: u32) -> u32 {
  return position_of(m);
}
