// Attention of texts over themselves, every position over all of its text (arXiv 1706.03762), with the
// online softmax of FlashAttention-2 (arXiv 2307.08691). Texts lie behind each other without padding.
//
// Bindings  0 qkv    [rows][3 * HEADS * HEAD_DIM], f32: q, k and v of each row
//           1 tiles  4 words each: a tile's first row, the end of its rows, its text's first row and end
//           2 y      [rows][Y_STRIDE], f32: HEADS * HEAD_DIM of each row; Y_STRIDE a multiple of 4
// Dispatch  (tiles, HEADS) workgroups; a tile without rows does nothing
// Assumes   a tile has at most QUERIES rows; HEAD_DIM a multiple of 4, at most 4 * LANES
//
// LANES threads work for a quad of queries: each scores one key of a run of LANES, then sums
// dimensions 4 * part .. + 3 of the values of every SHARES-th key. A vec4 is a number of each query of
// the quad, but where it is read or written.

${enables}

override HEADS: u32;
override HEAD_DIM: u32;
override SCALE: f32;     // of the scores: 1 / sqrt(HEAD_DIM)
override Y_STRIDE: u32;
override SHARES: u32;    // LANES / (HEAD_DIM / 4), rounded down
override LANES: u32;     // 32
override THREADS: u32;   // QUERIES / 4 * LANES

const QUERIES = 16u;

@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> tiles: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

${lanes}

var<workgroup> q_tile: array<vec4<f32>, QUERIES / 4u * HEAD_DIM>;  // [quad][dimension]
var<workgroup> p_tile: array<vec4<f32>, THREADS>;                  // [quad][key]: weights

// Where a row's q (0), k (1) or v (2) of the head begins.
fn vector_at(row: u32, which: u32, head: u32) -> u32 {
  return ((row * 3u + which) * HEADS + head) * (HEAD_DIM / 4u);
}

// Four dimensions of a query, scaled; rows past the tile's end are its last.
fn q_read(row: u32, end: u32, head: u32, part: u32) -> vec4<f32> {
  return qkv[vector_at(min(row, end - 1u), 0u, head) + part] * SCALE;
}

// What all shares of a quad have of one dimension of a part, for share 0.
fn gathered(sum: vec4<f32>, thread: u32) -> vec4<f32> {
  p_tile[thread] = sum;
  workgroupBarrier();
  var total = vec4<f32>();
  for (var share = 0u; share < SHARES; share++) {
    total += p_tile[min(thread + share * (HEAD_DIM / 4u), THREADS - 1u)];
  }
  workgroupBarrier();
  return total;
}

fn store(row: u32, end: u32, at: u32, values: vec4<f32>) {
  if (row < end) {
    y[row * (Y_STRIDE / 4u) + at] = values;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let head = group.y;
  let tile = tiles[group.x];
  if (tile.x >= tile.y) {
    return;
  }
  let parts = HEAD_DIM / 4u;
  let quad = thread / LANES;
  let lane = thread % LANES;
  let part = lane % parts;
  let share = lane / parts;
  let row = tile.x + quad * 4u;
  if (share == 0u) {
    let a = q_read(row, tile.y, head, part);
    let b = q_read(row + 1u, tile.y, head, part);
    let c = q_read(row + 2u, tile.y, head, part);
    let d = q_read(row + 3u, tile.y, head, part);
    let at = quad * HEAD_DIM + 4u * part;
    q_tile[at] = vec4(a.x, b.x, c.x, d.x);
    q_tile[at + 1u] = vec4(a.y, b.y, c.y, d.y);
    q_tile[at + 2u] = vec4(a.z, b.z, c.z, d.z);
    q_tile[at + 3u] = vec4(a.w, b.w, c.w, d.w);
  }
  workgroupBarrier();
  var most = vec4(-1e30);
  var weight = vec4<f32>();
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  for (var start = tile.z; start < tile.w; start += LANES) {
    let there = vec4(start + lane < tile.w);
    let key = vector_at(min(start + lane, tile.w - 1u), 1u, head);
    var score = vec4<f32>();
    for (var d = 0u; d < parts; d++) {
      let k = qkv[key + d];
      let at = quad * HEAD_DIM + 4u * d;
      score += q_tile[at] * k.x + q_tile[at + 1u] * k.y + q_tile[at + 2u] * k.z + q_tile[at + 3u] * k.w;
    }
    score = select(vec4(-1e30), score, there);
    let highest = max(most, lane_max(score, thread));
    let shrink = exp(most - highest);
    let p = select(vec4<f32>(), exp(score - highest), there);
    most = highest;
    weight = weight * shrink + p;
    p_tile[thread] = p;
    workgroupBarrier();
    s0 *= shrink;
    s1 *= shrink;
    s2 *= shrink;
    s3 *= shrink;
    let keys = select(0u, min(LANES, tile.w - start), share < SHARES);
    for (var i = share; i < keys; i += SHARES) {
      let w = p_tile[quad * LANES + i];
      let v = qkv[vector_at(start + i, 2u, head) + part];
      s0 += w * v.x;
      s1 += w * v.y;
      s2 += w * v.z;
      s3 += w * v.w;
    }
    workgroupBarrier();
  }
  let scale = 1.0 / lane_sum(weight, thread);
  s0 = gathered(s0, thread) * scale;
  s1 = gathered(s1, thread) * scale;
  s2 = gathered(s2, thread) * scale;
  s3 = gathered(s3, thread) * scale;
  if (share == 0u) {
    let at = head * parts + part;
    store(row, tile.y, at, vec4(s0.x, s1.x, s2.x, s3.x));
    store(row + 1u, tile.y, at, vec4(s0.y, s1.y, s2.y, s3.y));
    store(row + 2u, tile.y, at, vec4(s0.z, s1.z, s2.z, s3.z));
    store(row + 3u, tile.y, at, vec4(s0.w, s1.w, s2.w, s3.w));
  }
}
