// What GROUP columns of a row share in the file goes to all groups of KEPT columns that the reader has of
// them, a word each: see quant/zeroed.wgsl. Scales and zeros, which share a word, are two tensors.

override GROUP: u32;
override KEPT: u32;   // divides GROUP

@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

fn store_group(g: u32, row: u32, bits: u32) {
  let groups = 32u * BLOCKS / KEPT;
  let each = GROUP / KEPT;
  for (var i = 0u; i < each; i++) {
    scales[(row / 4u * groups + g * each + i) * 4u + row % 4u] |= bits;
  }
}
