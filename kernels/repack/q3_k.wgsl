// GGUF's Q3_K super-blocks (32 bytes of highest bits, bit b belonging to block b; 64 bytes of lower bits,
// four blocks sharing 32; 12 bytes of 6-bit scales of 16 elements; f16 scale) to the layout of
// quant/q3_k.wgsl. The scales' lower four bits are 8 bytes of nibbles, those of scales 8 .. 15 the high
// ones; byte i % 4 of the other four holds the upper two of scale i in the bits from i / 4 * 2 on.

const VECTORS = 3u;
const SCALE_VECTORS = 4u;

${repack/quants}
${repack/bits}
${repack/superblock}

// Nibbles of the bytes of two words, the low or the high ones, next to each other.
fn next_to_each_other(first: u32, second: u32) -> u32 {
  var word = 0u;
  for (var i = 0u; i < 4u; i++) {
    word |= ((first >> (8u * i)) & 15u) << (4u * i);
    word |= ((second >> (8u * i)) & 15u) << (4u * i + 16u);
  }
  return word;
}

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source / 8u * 110u;
  let block = source % 8u;
  if (block == 0u) {
    let first = word_at(at + 96u);
    let second = word_at(at + 100u);
    let upper = word_at(at + 104u);
    var in_order = 0u;
    for (var i = 0u; i < 16u; i++) {
      in_order |= ((upper >> (i % 4u * 8u + i / 4u * 2u)) & 3u) << (2u * i);
    }
    store_scales(unit, row, 0u, widened(half_at(at + 108u)));
    store_scales(unit, row, 1u, next_to_each_other(first, second));
    store_scales(unit, row, 2u, next_to_each_other(first >> 4u, second >> 4u));
    store_scales(unit, row, 3u, in_order);
  }
  let codes = at + 32u + block / 4u * 32u;
  store_word(unit, row, 0u, pairs_of_bits(codes, block % 4u * 2u));
  store_word(unit, row, 1u, pairs_of_bits(codes + 16u, block % 4u * 2u));
  store_word(unit, row, 2u, single_bits(at, block));
}
