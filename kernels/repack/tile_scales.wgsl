// Scales of tiles of TILE_ROWS rows and GROUP columns, a tensor of their own, of which the piece is all.
// To quant/fp8.wgsl: groups of KEPT columns, which divides GROUP or ends with it.

override TILE_ROWS: u32;
override GROUP: u32;
override KEPT: u32;

${source}

@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

fn store_block(source: u32, row: u32, unit: u32) {
  let g = block_of(source);
  let stored_row = stored_at(source, piece[1], 1u, 1u, 0u);
  let at = stored_row / TILE_ROWS * ((K + GROUP - 1u) / GROUP) + g * KEPT / GROUP;
  scales[(row / 4u * (32u * BLOCKS / KEPT) + g) * 4u + row % 4u] = bitcast<u32>(element(at));
}
