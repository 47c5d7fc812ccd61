// Element i of what is staged, in float32.
fn element(i: u32) -> f32 {
  return bitcast<f32>(staged_word(i));
}
