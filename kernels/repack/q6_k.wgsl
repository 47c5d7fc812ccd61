// GGUF's Q6_K super-blocks (128 bytes of nibbles, 64 bytes of upper bits, 16 signed bytes of scales,
// f16 scale) to the layout of quant/q6_k.wgsl. Halves of four blocks stand by themselves: blocks 0 and 2
// share 32 bytes of nibbles, blocks 1 and 3 the next 32, and all four 32 bytes of upper bits.

const VECTORS = 6u;
const SCALE_VECTORS = 5u;

${repack/nibbles}
${repack/bits}
${repack/superblock}

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source / 8u * 210u;
  let half = source % 8u / 4u;
  let block = source % 4u;
  if (source % 8u == 0u) {
    store_scales(unit, row, 0u, widened(half_at(at + 208u)));
    for (var j = 0u; j < 4u; j++) {
      store_scales(unit, row, j + 1u, word_at(at + 192u + 4u * j) ^ 0x80808080u);
    }
  }
  store_nibbles_of(unit, row, at + 64u * half + block % 2u * 32u, block / 2u * 4u);
  let upper = at + 128u + 32u * half;
  store_word(unit, row, 4u, pairs_of_bits(upper, 2u * block));
  store_word(unit, row, 5u, pairs_of_bits(upper + 16u, 2u * block));
}
