// Loading: GGUF's Q8_0 blocks (f16 scale; 32 signed bytes) of a staged piece to the layout of
// quant/q8_0.wgsl.
//
// Bindings  0 staged, 1 piece (repack/rows.wgsl); 2 quants out; 3 scales out
// Dispatch  a thread a block

${enables}

${rows}
${scales}

@group(0) @binding(2) var<storage, read_write> quants: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.x / BLOCKS;
  if (row >= piece[0]) {
    return;
  }
  let placed = target_row(piece[1] + row);
  let unit = first_unit(placed, id.x % BLOCKS);
  store_scale(unit, placed, half_at(id.x * 34u));
  for (var i = 0u; i < 8u; i++) {
    quants[(unit * 2u + i) * 4u + placed % 4u] = word_at(id.x * 34u + 2u + 4u * i) ^ 0x80808080u;
  }
}
