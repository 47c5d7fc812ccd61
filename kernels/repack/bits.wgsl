// Codes of 2 bits, and bits that complete wider codes, from bytes that hold one element of this block
// each, in the bits from shift on, to words of the layout of quant/bits.wgsl.

// 16 elements: 2 units.
fn pairs_of_bits(byte: u32, shift: u32) -> u32 {
  var word = 0u;
  for (var k = 0u; k < 4u; k++) {
    word |= ((word_at(byte + 4u * k) >> shift) & 0x03030303u) << (2u * k);
  }
  return word;
}

// 32 elements: 4 units.
fn single_bits(byte: u32, shift: u32) -> u32 {
  var word = 0u;
  for (var k = 0u; k < 8u; k++) {
    word |= ((word_at(byte + 4u * k) >> shift) & 0x01010101u) << k;
  }
  return word;
}
