// Element i of what is staged, in bfloat16.
fn element(i: u32) -> f32 {
  return bitcast<f32>(half_at(2u * i) << 16u);
}
