// Attention of texts over themselves, every position over all of its text (arXiv 1706.03762), with the
// online softmax of FlashAttention-2 (arXiv 2307.08691). Texts lie behind each other without padding.
//
// Bindings  0 qkv    [rows][3 * HEADS * HEAD_DIM], f32: q, k and v of each row
//           1 tiles  4 words each: a tile's first row, the end of its rows, its text's first row and end
//           2 y      [rows][Y_STRIDE], f32: HEADS * HEAD_DIM of each row
// Dispatch  (tiles, HEADS) workgroups; a tile without rows does nothing
// Assumes   a tile has at most QUERIES rows; HEAD_DIM a multiple of 8, at most 128
//
// LANES threads work for a quad of queries: each scores one key of a run of LANES, then sums the
// dimensions lane, lane + LANES, ... of all their values. A vec4 is a number of each query of the quad.

${enables}

override HEADS: u32;
override HEAD_DIM: u32;
override SCALE: f32;     // of the scores: 1 / sqrt(HEAD_DIM)
override Y_STRIDE: u32;
override LANES: u32;     // 32
override THREADS: u32;   // QUERIES / 4 * LANES

const QUERIES = 16u;

@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> tiles: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

${lanes}

var<workgroup> q_tile: array<vec4<f32>, QUERIES / 4u * HEAD_DIM>;  // [quad][dimension]
var<workgroup> p_tile: array<vec4<f32>, THREADS>;                  // [quad][key]: weights

// Where a row's q (0), k (1) or v (2) of the head begins.
fn vector_at(row: u32, which: u32, head: u32) -> u32 {
  return ((row * 3u + which) * HEADS + head) * HEAD_DIM;
}

fn q_read(row: u32, end: u32, head: u32, d: u32) -> f32 {
  return qkv[vector_at(min(row, end - 1u), 0u, head) + d] * SCALE;
}

// The element d of a row's value; what lies past a head is read as its last.
fn value_read(row: u32, head: u32, d: u32) -> f32 {
  return qkv[vector_at(row, 2u, head) + min(d, HEAD_DIM - 1u)];
}

fn store(row: u32, end: u32, head: u32, d: u32, value: f32) {
  if (row < end && d < HEAD_DIM) {
    y[row * Y_STRIDE + head * HEAD_DIM + d] = value;
  }
}

fn store_quad(row: u32, end: u32, head: u32, d: u32, values: vec4<f32>) {
  store(row, end, head, d, values.x);
  store(row + 1u, end, head, d, values.y);
  store(row + 2u, end, head, d, values.z);
  store(row + 3u, end, head, d, values.w);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let head = group.y;
  let tile = tiles[group.x];
  let quad = thread / LANES;
  let lane = thread % LANES;
  let row = tile.x + quad * 4u;
  if (tile.x >= tile.y) {
    return;
  }
  for (var d = lane; d < HEAD_DIM; d += LANES) {
    q_tile[quad * HEAD_DIM + d] = vec4(q_read(row, tile.y, head, d), q_read(row + 1u, tile.y, head, d),
                                       q_read(row + 2u, tile.y, head, d), q_read(row + 3u, tile.y, head, d));
  }
  workgroupBarrier();
  var most = vec4(-1e30);
  var weight = vec4<f32>();
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  for (var start = tile.z; start < tile.w; start += LANES) {
    let there = start + lane < tile.w;
    let k = vector_at(min(start + lane, tile.w - 1u), 1u, head);
    var score = vec4<f32>();
    for (var d = 0u; d < HEAD_DIM; d += 4u) {
      let q = quad * HEAD_DIM + d;
      score += q_tile[q] * qkv[k + d] + q_tile[q + 1u] * qkv[k + d + 1u]
             + q_tile[q + 2u] * qkv[k + d + 2u] + q_tile[q + 3u] * qkv[k + d + 3u];
    }
    score = select(vec4(-1e30), score, vec4(there));
    let highest = max(most, lane_max(score, thread));
    let shrink = exp(most - highest);
    let p = select(vec4<f32>(), exp(score - highest), vec4(there));
    most = highest;
    weight = weight * shrink + p;
    p_tile[thread] = p;
    workgroupBarrier();
    s0 *= shrink;
    s1 *= shrink;
    s2 *= shrink;
    s3 *= shrink;
    let keys = min(LANES, tile.w - start);
    for (var key = 0u; key < keys; key++) {
      let w = p_tile[quad * LANES + key];
      s0 += w * value_read(start + key, head, lane);
      if (HEAD_DIM > LANES) {
        s1 += w * value_read(start + key, head, lane + LANES);
      }
      if (HEAD_DIM > 2u * LANES) {
        s2 += w * value_read(start + key, head, lane + 2u * LANES);
        s3 += w * value_read(start + key, head, lane + 3u * LANES);
      }
    }
    workgroupBarrier();
  }
  let scale = 1.0 / lane_sum(weight, thread);
  store_quad(row, tile.y, head, lane, s0 * scale);
  store_quad(row, tile.y, head, lane + LANES, s1 * scale);
  store_quad(row, tile.y, head, lane + 2u * LANES, s2 * scale);
  store_quad(row, tile.y, head, lane + 3u * LANES, s3 * scale);
}
