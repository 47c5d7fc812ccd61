// Quantization at load: float rows to Q8_0 (quant/q8_0.wgsl), as ggml's reference
// does it: scale = greatest magnitude / 127, halves rounded away from zero.

const VECTORS = 8u;

${source}
${repack/quants}
${repack/scales}

fn store_block(source: u32, row: u32, unit: u32) {
  let column = source % BLOCKS * 32u;
  let n = min(32u, K - column);
  let start = source / BLOCKS * K + column;
  var most = 0.0;
  for (var i = 0u; i < n; i++) {
    most = max(most, abs(element(start + i)));
  }
  let scale = most / 127.0;
  let inverse = select(0.0, 1.0 / scale, scale != 0.0);
  store_scale(unit, row, pack2x16float(vec2(scale, 0.0)) & 0xffffu);
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
    store_word(unit, row, j, word);
  }
}
