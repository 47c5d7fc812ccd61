// float32 rows, padded with zeros to whole blocks, to the layout of quant/f32.wgsl.

const VECTORS = 32u;

${repack/quants}

fn store_block(source: u32, row: u32, unit: u32) {
  let column = source % BLOCKS * 32u;
  let start = source / BLOCKS * K + column;
  for (var i = 0u; i < 32u && column + i < K; i++) {
    store_word(unit, row, i, staged_word(start + i));
  }
}
