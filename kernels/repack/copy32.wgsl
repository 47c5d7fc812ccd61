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
  let out = target_row(piece[1] + row) * BLOCKS * 32u + column;
  for (var i = 0u; i < 32u && column + i < K; i++) {
    quants[out + i] = staged[row * K + column + i];
  }
}
