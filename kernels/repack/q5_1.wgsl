// GGUF's Q5_1 blocks (f16 scale, f16 minimum; a word of highest bits; 16 bytes) to the layout of
// quant/q5_1.wgsl.

const VECTORS = 5u;

${repack/nibbles}
${repack/fifth_bits}

@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source * 24u;
  scales[unit + row % 4u] = word_at(at);
  store_word(unit, row, 4u, spread_bits(word_at(at + 4u)));
  store_nibbles(unit, row, at + 8u);
}
