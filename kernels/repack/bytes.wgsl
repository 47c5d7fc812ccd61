// Rows of bytes, padded with zeros to whole blocks, to the layout of quant/fp8.wgsl.

const VECTORS = 8u;

${repack/quants}

fn store_block(source: u32, row: u32, unit: u32) {
  let column = source % BLOCKS * 32u;
  let start = source / BLOCKS * K + column;
  for (var i = 0u; i < 8u && column + 4u * i < K; i++) {
    let left = K - column - 4u * i;
    let known = select((1u << (8u * (left % 4u))) - 1u, 0xffffffffu, left >= 4u);
    store_word(unit, row, i, word_at(start + 4u * i) & known);
  }
}
