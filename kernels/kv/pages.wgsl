// Where keys and values lie in the paged KV cache of a layer, in groups of 8 elements of a head.
// A page holds PAGE positions: keys as [kv head][HEAD_DIM / 8][position], so that threads that take
// one position each read side by side; values as [kv head][position][HEAD_DIM / 8]. Pages of 8-bit
// elements have scales after that, see kv/read_q8.wgsl.
// step: see epilogue/rope_append.wgsl.

override KV_HEADS: u32;
override HEAD_DIM: u32;
override PAGE: u32;
override STEP_ROWS: u32;
override STEP_PAGES: u32;
override MAX_PAGES: u32;

fn position_of(m: u32) -> u32 {
  return step[STEP_ROWS + 4u * m + 1u];
}

fn page_of(m: u32, position: u32) -> u32 {
  return step[STEP_PAGES + step[STEP_ROWS + 4u * m + 2u] * MAX_PAGES + position / PAGE];
}

// Groups of a position's keys, all heads together; its values have as many.
fn position_groups() -> u32 {
  return KV_HEADS * (HEAD_DIM / 8u);
}

// Elements 8 * part .. 8 * part + 7 of a position's key; groups are counted from the page's start.
fn key_group(kv_head: u32, part: u32, position: u32) -> u32 {
  return (kv_head * (HEAD_DIM / 8u) + part) * PAGE + position % PAGE;
}

// The same of its value.
fn value_group(kv_head: u32, part: u32, position: u32) -> u32 {
  return ((KV_HEADS + kv_head) * PAGE + position % PAGE) * (HEAD_DIM / 8u) + part;
}
