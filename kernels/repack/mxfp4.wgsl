// GGUF's MXFP4 blocks (a byte, the scale's exponent; 16 bytes) to the layout of quant/mxfp4.wgsl.
// A quad's four exponents of a block share a word, and belong to four threads: each ORs its byte into a
// buffer that starts as zeros.

const VECTORS = 4u;

${repack/nibbles}

@group(0) @binding(3) var<storage, read_write> scales: array<atomic<u32>>;

fn store_block(source: u32, row: u32, unit: u32) {
  atomicOr(&scales[unit / 4u], byte_at(source * 17u) << (row % 4u * 8u));
  store_nibbles(unit, row, source * 17u + 1u);
}
