// Rows of sequences that keep a state, and where it lies: states[state_of(m)] on.
// step: see epilogue/rope_append.wgsl; the number of each slot's state from STEP_STATES on.

override STATE: u32;  // elements of a state
override STEP_ROWS: u32;
override STEP_STATES: u32;

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
  return step[STEP_STATES + slot_of(m)] * STATE;
}
