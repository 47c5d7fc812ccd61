// 4-bit codes, so that a word holds 8 consecutive elements of a row: four in its bytes' low nibbles,
// four in the high ones. A block's are its first four vec4 of quants.

${repack/quants}

// Elements 8j .. 8j+7 from the two words of bytes that hold them in their low nibbles.
fn together(first: u32, second: u32) -> u32 {
  return (first & 0x0f0f0f0fu) | ((second & 0x0f0f0f0fu) << 4u);
}

// From 16 bytes, byte i holding elements i and i + 16.
fn store_nibbles(unit: u32, row: u32, byte: u32) {
  let a = word_at(byte);
  let b = word_at(byte + 4u);
  let c = word_at(byte + 8u);
  let d = word_at(byte + 12u);
  store_word(unit, row, 0u, together(a, b));
  store_word(unit, row, 1u, together(c, d));
  store_word(unit, row, 2u, together(a >> 4u, b >> 4u));
  store_word(unit, row, 3u, together(c >> 4u, d >> 4u));
}

// From 32 bytes, byte i holding element i in its low (shift 0) or high nibble (shift 4).
fn store_nibbles_of(unit: u32, row: u32, byte: u32, shift: u32) {
  for (var j = 0u; j < 4u; j++) {
    let first = word_at(byte + 8u * j) >> shift;
    store_word(unit, row, j, together(first, word_at(byte + 8u * j + 4u) >> shift));
  }
}
