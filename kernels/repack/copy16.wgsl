// 16-bit rows (float16, bfloat16), padded with zeros to whole blocks, to the layout of quant/f16.wgsl
// and quant/bf16.wgsl.

const VECTORS = 16u;

${repack/quants}

fn store_block(source: u32, row: u32, unit: u32) {
  let column = source % BLOCKS * 32u;
  let start = source / BLOCKS * K + column;
  for (var i = 0u; i < 32u && column + i < K; i += 2u) {
    let at = 2u * (start + i);
    let second = select(0u, half_at(at + 2u), column + i + 1u < K);
    store_word(unit, row, i / 2u, half_at(at) | (second << 16u));
  }
}
