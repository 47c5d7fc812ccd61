// Quantization at load: float rows of a staged piece to Q8_0 (quant/q8_0.wgsl), as ggml's reference
// does it: scale = greatest magnitude / 127, halves rounded away from zero.
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
  var most = 0.0;
  for (var i = 0u; i < n; i++) {
    most = max(most, abs(element(start + i)));
  }
  let scale = most / 127.0;
  let inverse = select(0.0, 1.0 / scale, scale != 0.0);
  let placed = target_row(piece[1] + row);
  let unit = first_unit(placed, id.x % BLOCKS);
  store_scale(unit, placed, pack2x16float(vec2(scale, 0.0)) & 0xffffu);
  for (var j = 0u; j < 8u; j++) {
    var q = vec4<i32>();
    for (var i = 0u; i < 4u; i++) {
      if (4u * j + i < n) {
        let value = element(start + 4u * j + i) * inverse;
        q[i] = i32(sign(value) * floor(abs(value) + 0.5));
      }
    }
    let bytes = vec4<u32>(q + 128);
    let word = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
    quants[(unit * 2u + j) * 4u + placed % 4u] = word;
  }
}
