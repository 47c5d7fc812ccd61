// Quantization at load: float rows to Q4_0 (quant/fours.wgsl), as ggml's reference
// does it: the element of greatest magnitude becomes -8, scale = that element / -8.

const VECTORS = 4u;

${source}
${repack/quants}
${repack/scales}

fn store_block(source: u32, row: u32, unit: u32) {
  let column = source % BLOCKS * 32u;
  let n = min(32u, K - column);
  let start = source / BLOCKS * K + column;
  var extreme = 0.0;
  for (var i = 0u; i < n; i++) {
    let value = element(start + i);
    if (abs(value) > abs(extreme)) {
      extreme = value;
    }
  }
  let scale = extreme / -8.0;
  let inverse = select(0.0, 1.0 / scale, scale != 0.0);
  store_scale(unit, row, pack2x16float(vec2(scale, 0.0)) & 0xffffu);
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
    store_word(unit, row, j, word);
  }
}
