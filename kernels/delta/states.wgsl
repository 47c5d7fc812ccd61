// Where the states of gated delta nets lie (arXiv 2412.06464), and the rows of mixed channels that are
// on their way there: x[m] holds queries of K_HEADS * K_DIM, keys, values of V_HEADS * V_DIM, an output
// gate for each value, then a gate for the decay and one for the step of each value head.
// A state holds the channels of the three positions before, oldest first, then a matrix of each value
// head, a column of K_DIM elements for each element of its values.

${states/rows}

override K_HEADS: u32;
override V_HEADS: u32;
override K_DIM: u32;
override V_DIM: u32;

const PAST: u32 = 3u;

fn channels() -> u32 {
  return 2u * K_HEADS * K_DIM + V_HEADS * V_DIM;
}

fn x_stride() -> u32 {
  return channels() + V_HEADS * V_DIM + 2u * V_HEADS;
}
