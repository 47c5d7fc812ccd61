// GGUF's Q5_0 blocks (f16 scale; a word of highest bits; 16 bytes) to the layout of quant/q5_0.wgsl.

const VECTORS = 5u;

${repack/nibbles}
${repack/fifth_bits}
${repack/scales}

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source * 22u;
  store_scale(unit, row, half_at(at));
  store_word(unit, row, 4u, spread_bits(word_at(at + 2u)));
  store_nibbles(unit, row, at + 6u);
}
