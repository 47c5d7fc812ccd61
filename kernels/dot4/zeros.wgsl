// Codes below 128 of which ZEROS, in each byte of a word, stands for zero: raw_words(stored) has them.

const ZERO_POINT = f32(ZEROS & 0xffu);

// No byte borrows from the next.
fn less_zeros(codes: vec4<u32>) -> vec4<u32> {
  return ((codes | vec4(0x80808080u)) - vec4(ZEROS)) ^ vec4(0x80808080u);
}

fn signed_words(stored: Stored) -> array<vec4<u32>, 2> {
  let words = raw_words(stored);
  return array(less_zeros(words[0]), less_zeros(words[1]));
}
