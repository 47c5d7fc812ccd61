// Where keys and values lie in the paged KV cache of a layer, in groups of 8 elements of a head.
// A page holds PAGE positions: keys as [kv head][HEAD_DIM / 8][position], so that threads that take
// one position each read side by side; values as [kv head][position][HEAD_DIM / 8].
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

fn key_group(page: u32, kv_head: u32, position: u32) -> u32 {
  return (page * 2u * KV_HEADS + kv_head) * (HEAD_DIM / 8u) * PAGE + position % PAGE;  // + d / 8 * PAGE
}

fn value_group(page: u32, kv_head: u32, position: u32) -> u32 {
  return ((page * 2u + 1u) * KV_HEADS + kv_head) * (HEAD_DIM / 8u) * PAGE
       + (position % PAGE) * (HEAD_DIM / 8u);                                          // + d / 8
}
