// GGUF's Q4_0 blocks (f16 scale; 16 bytes) to the layout of quant/fours.wgsl.

const VECTORS = 4u;

${repack/nibbles}
${repack/scales}

fn store_block(source: u32, row: u32, unit: u32) {
  store_scale(unit, row, half_at(source * 18u));
  store_nibbles(unit, row, source * 18u + 2u);
}
