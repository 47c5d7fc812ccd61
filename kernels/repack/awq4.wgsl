// AWQ's 4-bit codes, whose scales and zeros are other tensors: a word holds an element of 8 rows, in the
// order of repack/interleaved.wgsl. To the layout of quant/affine4.wgsl.

const VECTORS = 4u;

${repack/quants}
${repack/interleaved}

fn store_block(source: u32, row: u32, unit: u32) {
  for (var j = 0u; j < 4u; j++) {
    var word = 0u;
    for (var i = 0u; i < 8u; i++) {
      let at = stored_at(source, block_of(source), BLOCKS, 32u, 8u * j + i);
      let nibble = (staged_word(at / 8u) >> (4u * place_of(at % 8u))) & 15u;
      word |= nibble << (8u * (i % 4u) + 4u * (i / 4u));
    }
    store_word(unit, row, j, word);
  }
}
