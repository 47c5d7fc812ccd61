// GGUF's IQ4_XS super-blocks (f16 scale; 16 bits, the upper two of each block's 6-bit scale; 4 bytes, a
// nibble each for the lower four; then the 16 bytes of each block) to the layout of quant/iq4_xs.wgsl.

const VECTORS = 4u;
const SCALE_VECTORS = 3u;

${repack/nibbles}
${repack/superblock}

fn store_block(source: u32, row: u32, unit: u32) {
  let at = source / 8u * 136u;
  let block = source % 8u;
  if (block == 0u) {
    let upper = half_at(at + 2u);
    let lower = word_at(at + 4u);
    var words = vec2<u32>();
    for (var i = 0u; i < 8u; i++) {
      let code = ((lower >> (4u * i)) & 15u) | (((upper >> (2u * i)) & 3u) << 4u);
      words[i / 4u] |= code << (i % 4u * 8u);
    }
    store_scales(unit, row, 0u, widened(half_at(at)));
    store_scales(unit, row, 1u, words.x);
    store_scales(unit, row, 2u, words.y);
  }
  store_nibbles(unit, row, at + 8u + 16u * block);
}
