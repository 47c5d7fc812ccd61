// The 16 bytes of a Q4_0 or Q4_1 block, reordered so that a word holds 8 consecutive elements.

@group(0) @binding(2) var<storage, read_write> quants: array<u32>;

// Elements 8j .. 8j+7 from the two words of bytes that hold them, in their low or high nibbles.
fn together(first: u32, second: u32) -> u32 {
  return (first & 0x0f0f0f0fu) | ((second & 0x0f0f0f0fu) << 4u);
}

fn store_nibbles(unit: u32, row: u32, byte: u32) {
  let a = word_at(byte);
  let b = word_at(byte + 4u);
  let c = word_at(byte + 8u);
  let d = word_at(byte + 12u);
  let at = unit * 4u + row % 4u;
  quants[at] = together(a, b);
  quants[at + 4u] = together(c, d);
  quants[at + 8u] = together(a >> 4u, b >> 4u);
  quants[at + 12u] = together(c >> 4u, d >> 4u);
}
