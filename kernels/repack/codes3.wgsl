// MLC's 3-bit codes, whose scales are another tensor: a group of 40 is four words of ten codes, the
// first in the lowest bits. To the layout of quant/threes.wgsl. Columns past the end become 3, which
// stands for 0.

const VECTORS = 3u;

${repack/quants}

fn code(source: u32, column: u32) -> u32 {
  if (column >= K) {
    return 3u;
  }
  let groups = (K + 39u) / 40u;
  let word = staged_word(stored_at(source, column / 40u, groups, 4u, column % 40u / 10u));
  return (word >> (3u * (column % 10u))) & 7u;
}

fn store_block(source: u32, row: u32, unit: u32) {
  var low0 = 0u;
  var low1 = 0u;
  var high = 0u;
  for (var i = 0u; i < 32u; i++) {
    let q = code(source, block_of(source) * 32u + i);
    let byte = 8u * (i % 4u);
    let shift = byte + 2u * (i % 16u / 4u);
    low0 |= select(0u, (q & 3u) << shift, i < 16u);
    low1 |= select(0u, (q & 3u) << shift, i >= 16u);
    high |= (q >> 2u) << (byte + i / 4u);
  }
  store_word(unit, row, 0u, low0);
  store_word(unit, row, 1u, low1);
  store_word(unit, row, 2u, high);
}
