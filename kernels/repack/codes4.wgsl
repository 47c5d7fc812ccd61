// MLC's 4-bit codes, whose scales are another tensor: word j of a block has element 8j + i in its bits
// from 4i on. To the layout of quant/fours.wgsl. Columns past the end become 7, which stands for 0: the
// file has 0 there, and an embedding's row is read to its end.

const VECTORS = 4u;

${repack/nibbles}

// Four nibbles of 16 bits, each to a byte.
fn spread(bits: u32) -> u32 {
  let pairs = (bits | (bits << 8u)) & 0x00ff00ffu;
  return (pairs | (pairs << 4u)) & 0x0f0f0f0fu;
}

fn inside(word: u32, column: u32) -> u32 {
  if (column + 8u <= K) {
    return word;
  }
  let known = (1u << (4u * (max(K, column) - column))) - 1u;
  return (word & known) | (0x77777777u & ~known);
}

fn store_block(source: u32, row: u32, unit: u32) {
  let block = block_of(source);
  for (var j = 0u; j < 4u; j++) {
    let stored = staged_word(stored_at(source, block, BLOCKS, 4u, j));
    let word = inside(stored, 32u * block + 8u * j);
    store_word(unit, row, j, together(spread(word & 0xffffu), spread(word >> 16u)));
  }
}
