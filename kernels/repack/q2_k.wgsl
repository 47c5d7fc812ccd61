// GGUF's Q2_K super-blocks (16 bytes, a 4-bit scale and a 4-bit minimum of 16 elements each; 64 bytes of
// 2-bit codes, four blocks sharing 32; f16 scale and minimum) to the layout of quant/q2_k.wgsl.

const VECTORS = 2u;
const SCALE_VECTORS = 5u;

${repack/quants}
${repack/bits}
${repack/superblock}

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source / 8u * 84u;
  let block = source % 8u;
  if (block == 0u) {
    store_scales(unit, row, 0u, word_at(at + 80u));
    for (var j = 0u; j < 4u; j++) {
      store_scales(unit, row, j + 1u, word_at(at + 4u * j));
    }
  }
  let codes = at + 16u + block / 4u * 32u;
  store_word(unit, row, 0u, pairs_of_bits(codes, block % 4u * 2u));
  store_word(unit, row, 1u, pairs_of_bits(codes + 16u, block % 4u * 2u));
}
