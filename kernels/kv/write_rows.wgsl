// Where rope_append puts keys and values that kv_quantize takes to the pages: [row][key, value][head][d],
// float32.

fn row_write(at: u32, v: vec2<f32>) {
  kv[at] = bitcast<u32>(v.x);
  kv[at + 1u] = bitcast<u32>(v.y);
}

fn key_write(m: u32, kv_head: u32, d: u32, v: vec2<f32>) {
  row_write((2u * m * KV_HEADS + kv_head) * HEAD_DIM + d, v);
}

fn value_write(m: u32, kv_head: u32, d: u32, v: vec2<f32>) {
  row_write(((2u * m + 1u) * KV_HEADS + kv_head) * HEAD_DIM + d, v);
}
