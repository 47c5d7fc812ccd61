// Keeps a channel's last PAST inputs, up to row m's, for the next convolution. Of the state, each element
// is read before it is written: what is kept moves to the front.

fn keep(m: u32, c: u32) {
  for (var i = 0u; i < PAST; i++) {
    states[state_of(m) + i * channels() + c] = before(m, PAST - 1u - i, c);
  }
}
