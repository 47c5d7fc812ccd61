// GPTQ's 8-bit codes, whose scales and zeros are other tensors: word j of a block has element 4j + i in
// byte i. To the layout of quant/affine8.wgsl.

const VECTORS = 8u;

${repack/quants}

fn store_block(source: u32, row: u32, unit: u32) {
  for (var j = 0u; j < 8u; j++) {
    store_word(unit, row, j, staged_word(stored_at(source, block_of(source), BLOCKS, 8u, j)));
  }
}
