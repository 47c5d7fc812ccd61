// The end of a reader of nibbles with a scale a block: it has ZEROS, what stands for zero in each byte
// of a word, up to 8.

struct Stored {
  words: vec4<u32>,
  scales: vec2<u32>,
}

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

fn load_unit(unit: u32) -> Stored {
  return Stored(quants[unit], scales[unit / 4u]);
}

fn raw_words(stored: Stored) -> array<vec4<u32>, 2> {
  return array(stored.words & vec4(0x0f0f0f0fu), (stored.words >> vec4(4u)) & vec4(0x0f0f0f0fu));
}

${dot4/zeros}
${dot4/scaled}
