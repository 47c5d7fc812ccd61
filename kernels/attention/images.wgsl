// The last key that a row of a chunk attends to: an image's rows attend to all of that image (Gemma 3,
// arXiv 2503.19786). The fourth word of a row says how many of them are behind it; of text it is 0.

fn last_key(m: u32) -> u32 {
  return position_of(m) + step[STEP_ROWS + 4u * m + 3u];
}
