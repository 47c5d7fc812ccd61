// 16-bit scales of groups of GROUP columns, a tensor of their own: rows x groups. To quant/scales.wgsl,
// or to quant/q3f16_1.wgsl; see repack/scales.wgsl.

override GROUP: u32;

@group(0) @binding(3) var<storage, read_write> scales: array<atomic<u32>>;

fn store_block(source: u32, row: u32, unit: u32) {
  let g = block_of(source);   // as many blocks as groups, or more
  let groups = (K + GROUP - 1u) / GROUP;
  if (g >= groups) {
    return;
  }
  let kept = (32u * BLOCKS + GROUP - 1u) / GROUP;
  let half = half_at(2u * stored_at(source, g, groups, 1u, 0u));
  atomicOr(&scales[(row / 4u * kept + g) * 2u + row % 4u / 2u], half << (16u * (row % 2u)));
}
