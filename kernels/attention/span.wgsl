// Which keys a position attends to: itself and those before it, WINDOW in all at most, if that is not 0
// (sliding-window attention, arXiv 2310.06825).

override WINDOW: u32 = 0u;

fn first_key(position: u32) -> u32 {
  return select(0u, position + 1u - min(WINDOW, position + 1u), WINDOW > 0u);
}

// Tiles of so many keys with one among them, from the one that first_key is in.
fn tiles_of(position: u32, keys: u32) -> u32 {
  return position / keys - first_key(position) / keys + 1u;
}
