// The first 16 bytes of Q4_K and Q5_K super-blocks: f16 scale d and minimum m, then a 6-bit scale and
// a 6-bit minimum of each block, to the layout of quant/scales_k.wgsl.
//
// Bytes 4 .. 7 hold the scales of blocks 0 .. 3 and bytes 8 .. 11 their minima, in 6 bits; the upper
// two bits belong to blocks 4 .. 7, whose lower four are the nibbles of bytes 12 .. 15.

const SCALE_VECTORS = 5u;

${repack/superblock}

fn store_scales_k(byte: u32, row: u32, unit: u32) {
  store_scales(unit, row, 0u, word_at(byte));
  let s = word_at(byte + 4u);
  let m = word_at(byte + 8u);
  let low = word_at(byte + 12u);
  let scales_high = (low & 0x0f0f0f0fu) | ((s >> 2u) & 0x30303030u);
  let minima_high = ((low >> 4u) & 0x0f0f0f0fu) | ((m >> 2u) & 0x30303030u);
  store_four(unit, row, 1u, s & 0x3f3f3f3fu, m & 0x3f3f3f3fu);
  store_four(unit, row, 3u, scales_high, minima_high);
}

// Four scales and four minima, a byte each, alternating in two words.
fn store_four(unit: u32, row: u32, vector: u32, s: u32, m: u32) {
  store_scales(unit, row, vector, (s & 0xffu) | ((m & 0xffu) << 8u)
               | ((s & 0xff00u) << 8u) | ((m & 0xff00u) << 16u));
  store_scales(unit, row, vector + 1u, ((s >> 16u) & 0xffu) | ((m >> 8u) & 0xff00u)
               | ((s >> 8u) & 0xff0000u) | (m & 0xff000000u));
}
