// Loading: GGUF's Q4_1 blocks (f16 scale, f16 minimum; 16 bytes, byte i holding elements i and
// i + 16) of a staged piece to the layout of quant/q4_1.wgsl.
//
// Bindings  0 staged, 1 piece (repack/rows.wgsl); 2 quants out; 3 scales out
// Dispatch  a thread a block

${enables}

${rows}
${nibbles}

@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.x / BLOCKS;
  if (row >= piece[0]) {
    return;
  }
  let placed = target_row(piece[1] + row);
  let unit = first_unit(placed, id.x % BLOCKS);
  scales[unit + placed % 4u] = word_at(id.x * 20u);
  store_nibbles(unit, placed, id.x * 20u + 4u);
}
