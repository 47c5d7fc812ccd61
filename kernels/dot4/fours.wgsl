// The end of a reader of nibbles: it has ZEROS, what stands for zero in each byte of a word, up to 8.

struct Stored {
  words: vec4<u32>,
  scales: vec2<u32>,
}

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn load_unit(unit: u32) -> Stored {
  return Stored(quants[unit], scales[unit / 4u]);
}

const ZERO_POINT = i32(ZEROS & 0xffu);

fn raw_words(stored: Stored) -> array<vec4<u32>, 2> {
  return array(stored.words & vec4(0x0f0f0f0fu), (stored.words >> vec4(4u)) & vec4(0x0f0f0f0fu));
}

// Nibbles less ZEROS, four a word; no byte borrows from the next.
fn less_zeros(nibbles: vec4<u32>) -> vec4<u32> {
  return ((nibbles | vec4(0x80808080u)) - vec4(ZEROS)) ^ vec4(0x80808080u);
}

fn signed_words(stored: Stored) -> array<vec4<u32>, 2> {
  return array(less_zeros(stored.words & vec4(0x0f0f0f0fu)),
               less_zeros((stored.words >> vec4(4u)) & vec4(0x0f0f0f0fu)));
}
