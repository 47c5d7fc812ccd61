// Where the states of gated delta nets lie (arXiv 2412.06464), and the rows of mixed channels that are
// on their way there: x[m] holds queries of K_HEADS * K_DIM, keys, values of V_HEADS * V_DIM, an output
// gate for each value, then a gate for the decay and one for the step of each value head.
// A state holds the channels of the three positions before, oldest first, then a matrix of each value
// head, a column of K_DIM elements for each element of its values.
// step: see epilogue/rope_append.wgsl; the number of each slot's state from STEP_STATES on.

override K_HEADS: u32;
override V_HEADS: u32;
override K_DIM: u32;
override V_DIM: u32;
override STEP_ROWS: u32;
override STEP_STATES: u32;

const PAST: u32 = 3u;

fn channels() -> u32 {
  return 2u * K_HEADS * K_DIM + V_HEADS * V_DIM;
}

fn x_stride() -> u32 {
  return channels() + V_HEADS * V_DIM + 2u * V_HEADS;
}

fn position_of(m: u32) -> u32 {
  return step[STEP_ROWS + 4u * m + 1u];
}

fn slot_of(m: u32) -> u32 {
  return step[STEP_ROWS + 4u * m + 2u];
}

// Whether the row so many before m is of the same sequence.
fn follows(m: u32, back: u32) -> bool {
  return back <= m && slot_of(m - min(back, m)) == slot_of(m);
}

// Where the state of row m's sequence begins.
fn state_of(m: u32) -> u32 {
  return step[STEP_STATES + slot_of(m)] * (PAST * channels() + V_HEADS * V_DIM * K_DIM);
}
