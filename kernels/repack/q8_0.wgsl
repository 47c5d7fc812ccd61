// GGUF's Q8_0 blocks (f16 scale; 32 signed bytes) to the layout of quant/q8_0.wgsl.

const VECTORS = 8u;

${repack/quants}
${repack/scales}

fn store_block(source: u32, row: u32, unit: u32) {
  store_scale(unit, row, half_at(source * 34u));
  for (var i = 0u; i < 8u; i++) {
    store_word(unit, row, i, word_at(source * 34u + 2u + 4u * i) ^ 0x80808080u);
  }
}
