// GGUF's Q4_K super-blocks (scales: repack/scales_k.wgsl; 128 bytes, each pair of blocks sharing 32 of
// them, the first in the low nibbles) to the layout of quant/q4_k.wgsl.

const VECTORS = 4u;

${repack/nibbles}
${repack/scales_k}

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source / 8u * 144u;
  let block = source % 8u;
  if (block == 0u) {
    store_scales_k(at, row, unit);
  }
  store_nibbles_of(unit, row, at + 16u + block / 2u * 32u, block % 2u * 4u);
}
