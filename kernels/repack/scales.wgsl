// A quad's four f16 scales of a block lie in two words, and belong to four threads: each ORs its half
// into a buffer that starts as zeros. See quant/scales.wgsl.

@group(0) @binding(3) var<storage, read_write> scales: array<atomic<u32>>;

fn store_scale(unit: u32, row: u32, half: u32) {
  atomicOr(&scales[unit / 2u + row % 4u / 2u], half << (16u * (row % 2u)));
}
