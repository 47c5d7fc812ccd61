// The word of Q5_0 and Q5_1 that holds the highest bit of element i in bit i, as single_bits in
// repack/bits.wgsl makes it.

fn spread_bits(bits: u32) -> u32 {
  var word = 0u;
  for (var k = 0u; k < 8u; k++) {
    // Four bits to the lowest of four bytes.
    word |= ((((bits >> (4u * k)) & 15u) * 0x00204081u) & 0x01010101u) << k;
  }
  return word;
}
