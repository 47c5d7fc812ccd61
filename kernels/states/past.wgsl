// What a causal convolution sees of a channel: its input at a row (row_input(m, c), the kernel's), at the
// rows of the sequence before, and before those at the PAST positions that its state holds, the oldest
// first, channels() elements each. Before position 0 there is nothing, whatever the state holds.

fn before(m: u32, back: u32, c: u32) -> f32 {
  if (back > position_of(m)) {
    return 0.0;
  }
  if (follows(m, back)) {
    return row_input(m - back, c);
  }
  // As many positions back as rows of the sequence are here, then on in the state.
  var here = 0u;
  while (follows(m, here + 1u)) {
    here++;
  }
  return states[state_of(m) + (PAST + here - back) * channels() + c];
}
