// Loading: float32 rows of a staged piece to their target rows, padded with zeros to whole blocks.
//
// Bindings  0 staged, 1 piece (repack/rows.wgsl); 2 quants out
// Dispatch  a thread a block

${enables}

${rows}

@group(0) @binding(2) var<storage, read_write> quants: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.x / BLOCKS;
  if (row >= piece[0]) {
    return;
  }
  let column = id.x % BLOCKS * 32u;
  let placed = target_row(piece[1] + row);
  let unit = first_unit(placed, id.x % BLOCKS);
  for (var i = 0u; i < 32u && column + i < K; i++) {
    quants[(unit + i / 8u) * 32u + i % 8u * 4u + placed % 4u] = staged_word(row * K + column + i);
  }
}
