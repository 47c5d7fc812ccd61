// GGUF's Q5_K super-blocks (scales: repack/scales_k.wgsl; 32 bytes of highest bits, bit b belonging to
// block b; nibbles as in Q4_K) to the layout of quant/q5_k.wgsl.

const VECTORS = 5u;

${repack/nibbles}
${repack/bits}
${repack/scales_k}

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source / 8u * 176u;
  let block = source % 8u;
  if (block == 0u) {
    store_scales_k(at, row, unit);
  }
  store_word(unit, row, 4u, single_bits(at + 16u, block));
  store_nibbles_of(unit, row, at + 48u + block / 2u * 32u, block % 2u * 4u);
}
