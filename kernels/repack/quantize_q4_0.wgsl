// Quantization at load: float rows of a staged piece to Q4_0 (quant/q4_0.wgsl), as ggml's reference
// does it: the element of greatest magnitude becomes -8, scale = that element / -8.
//
// Bindings  0 staged, 1 piece (repack/rows.wgsl); 2 quants out; 3 scales out
// Dispatch  a thread a block

${enables}

${rows}
${source}
${scales}

@group(0) @binding(2) var<storage, read_write> quants: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.x / BLOCKS;
  if (row >= piece[0]) {
    return;
  }
  let column = id.x % BLOCKS * 32u;
  let n = min(32u, K - column);
  let start = row * K + column;
  var extreme = 0.0;
  for (var i = 0u; i < n; i++) {
    let value = element(start + i);
    if (abs(value) > abs(extreme)) {
      extreme = value;
    }
  }
  let scale = extreme / -8.0;
  let inverse = select(0.0, 1.0 / scale, scale != 0.0);
  let placed = target_row(piece[1] + row);
  let unit = first_unit(placed, id.x % BLOCKS);
  store_scale(unit, placed, pack2x16float(vec2(scale, 0.0)) & 0xffffu);
  for (var j = 0u; j < 4u; j++) {
    var word = 0u;
    for (var i = 0u; i < 8u; i++) {
      var value = 0.0;
      if (8u * j + i < n) {
        value = element(start + 8u * j + i);
      }
      let q = u32(clamp(value * inverse + 8.5, 0.0, 15.0));
      word |= q << (8u * (i % 4u) + 4u * (i / 4u));
    }
    quants[(unit + j) * 4u + placed % 4u] = word;
  }
}
