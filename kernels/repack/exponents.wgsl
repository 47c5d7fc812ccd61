// MXFP4's exponents where they are a tensor of their own: rows x blocks, a byte each. To the layout of
// quant/mxfp4.wgsl; see repack/mxfp4.wgsl.

@group(0) @binding(3) var<storage, read_write> scales: array<atomic<u32>>;

fn store_block(source: u32, row: u32, unit: u32) {
  let at = stored_at(source, block_of(source), BLOCKS, 1u, 0u);
  atomicOr(&scales[unit / 4u], byte_at(at) << (row % 4u * 8u));
}
