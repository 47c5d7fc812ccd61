// Element i of what is staged, in float16.
fn element(i: u32) -> f32 {
  return unpack2x16float(half_at(2u * i)).x;
}
