// What each position gives every key: the softmax that attention takes values by, written out.
//
// Purpose   to be looked at (engine.inspect); generation does not write it
// Bindings  0 q        [rows][HEADS * HEAD_DIM], f32, rotated
//           1 step     see epilogue/rope_append.wgsl
//           2 kv       the layer's pages (the reader declares it)
//           3 weights  [HEADS][ROWS][KEYS], f32: 0 for keys that a position does not see
//           4 sinks    f32 by head, of models that have them
// Dispatch  (HEADS, rows) workgroups; rows past the last one write nothing
// Assumes   HEAD_DIM a multiple of 8; positions below KEYS

${enables}

override HEADS: u32;
override ROWS: u32;
override KEYS: u32;
override SCALE: f32;     // of the scores: 1 / sqrt(HEAD_DIM)
override LANES: u32;     // THREADS
override THREADS: u32;   // a power of two

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;

${pages}
${kv_read}
${attention/span}
${attention/softcap}
${sinks}
${lanes}

fn score_of(m: u32, head: u32, key: u32) -> f32 {
  let page = page_of(m, key);
  let kv_head = head / (HEADS / KV_HEADS);
  let at = (m * HEADS + head) * HEAD_DIM;
  var sum = 0.0;
  for (var d = 0u; d < HEAD_DIM; d += 8u) {
    let k = key_read(page, kv_head, d / 8u, key);
    sum += dot(vec4(q[at + d], q[at + d + 1u], q[at + d + 2u], q[at + d + 3u]), k[0]);
    sum += dot(vec4(q[at + d + 4u], q[at + d + 5u], q[at + d + 6u], q[at + d + 7u]), k[1]);
  }
  return capped(vec4(SCALE * sum)).x;
}

// A thread has the same keys in each of the three loops, so that it reads what it wrote itself.
@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let head = group.x;
  let m = group.y;
  if (m >= step[0]) {
    return;
  }
  let position = position_of(m);
  let first = first_key(position);
  let row = (head * ROWS + m) * KEYS;
  let sink = sink_of(head);
  var most = sink;
  for (var key = thread; key < KEYS; key += THREADS) {
    if (key >= first && key <= position) {
      let score = score_of(m, head, key);
      weights[row + key] = score;
      most = max(most, score);
    }
  }
  most = lane_max(vec4(most), thread).x;
  var sum = 0.0;
  for (var key = thread; key < KEYS; key += THREADS) {
    var weight = 0.0;
    if (key >= first && key <= position) {
      weight = exp(weights[row + key] - most);
    }
    weights[row + key] = weight;
    sum += weight;
  }
  let total = lane_sum(vec4(sum), thread).x + exp(sink - most);
  for (var key = thread; key < KEYS; key += THREADS) {
    weights[row + key] /= total;
  }
}
