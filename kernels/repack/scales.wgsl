// Scales lie two to a word; neighbouring blocks belong to different threads, so each ORs its half
// into a buffer that starts as zeros.

@group(0) @binding(3) var<storage, read_write> scales: array<atomic<u32>>;

fn store_scale(block: u32, half: u32) {
  atomicOr(&scales[block / 2u], half << (16u * (block % 2u)));
}
