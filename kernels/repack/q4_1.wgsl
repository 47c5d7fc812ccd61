// GGUF's Q4_1 blocks (f16 scale, f16 minimum; 16 bytes) to the layout of quant/q4_1.wgsl.

const VECTORS = 4u;

${repack/nibbles}

@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

fn store_block(source: u32, row: u32, unit: u32) {
  scales[unit + row % 4u] = word_at(source * 20u);
  store_nibbles(unit, row, source * 20u + 4u);
}
