// Causal attention of a chunk's positions over all earlier ones (FlashAttention-2,
// arXiv 2307.08691: online softmax over tiles of keys, one workgroup a tile of queries).
//
// Bindings  0 q     [rows][HEADS * HEAD_DIM], f32, rotated
//           1 step  see epilogue/rope_append.wgsl
//           2 kv    the layer's pages (the reader declares it)
//           3 y     [rows][Y_STRIDE], f32: HEADS * HEAD_DIM of each row; Y_STRIDE a multiple of 4
// Dispatch  (ceil(rows / QUERIES), HEADS) workgroups
// Assumes   the rows are consecutive positions of one slot; a tile of keys is a page;
//           HEAD_DIM a multiple of 8. Rows past the chunk's end write nothing.
//
// thread = quad * (HEAD_DIM / 8) + part: it sums dimensions 8 * part .. + 7 for four queries.

${enables}

override HEADS: u32;
override QUERIES: u32;   // a tile, a multiple of 4
override SCALE: f32;     // of the scores: 1 / sqrt(HEAD_DIM)
override Y_STRIDE: u32;
override THREADS: u32;   // QUERIES / 4 * HEAD_DIM / 8

@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

${pages}
${kv_read}

var<workgroup> q_tile: array<vec4<${elem}>, QUERIES * HEAD_DIM / 4u>;
var<workgroup> p_tile: array<vec4<f32>, PAGE * QUERIES / 4u>;  // [key][quad]: scores, then weights
var<workgroup> max_tile: array<vec4<f32>, THREADS>;

// The scores of one key with the four queries of a quad.
fn scores(quad: u32, page: u32, kv_head: u32, position: u32) -> vec4<f32> {
  var s = vec4<f32>();
  let row = quad * HEAD_DIM;  // four rows of HEAD_DIM / 4
  for (var d = 0u; d < HEAD_DIM / 8u; d++) {
    let k = key_read(page, kv_head, d, position);
    for (var i = 0u; i < 4u; i++) {
      let at = row + i * (HEAD_DIM / 4u) + d * 2u;
      s[i] += dot(vec4<f32>(q_tile[at]), k[0]) + dot(vec4<f32>(q_tile[at + 1u]), k[1]);
    }
  }
  return s;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let rows = step[0];
  let m0 = group.x * QUERIES;
  if (m0 >= rows) {
    return;
  }
  let head = group.y;
  let kv_head = head / (HEADS / KV_HEADS);
  let first = position_of(m0);
  let last = position_of(min(m0 + QUERIES, rows) - 1u);
  for (var i = thread; i < QUERIES * HEAD_DIM / 4u; i += THREADS) {
    let m = min(m0 + i / (HEAD_DIM / 4u), rows - 1u);
    let value = q[(m * HEADS + head) * (HEAD_DIM / 4u) + i % (HEAD_DIM / 4u)] * SCALE;
    q_tile[i] = vec4<${elem}>(clamp(value, vec4(-65504.0), vec4(65504.0)));
  }
  workgroupBarrier();

  let parts = HEAD_DIM / 8u;
  let quads = QUERIES / 4u;
  let part = thread % parts;
  let quad = thread / parts;
  var most = vec4(-1e30);
  var weight = vec4<f32>();
  var sums: array<vec4<f32>, 8>;  // one dimension of four queries each
  for (var start = 0u; start <= last; start += PAGE) {
    let page = page_of(m0, start);
    for (var i = thread; i < PAGE * quads; i += THREADS) {
      let key = i % PAGE;
      let asking = first + i / PAGE * 4u + vec4(0u, 1u, 2u, 3u);
      let seen = vec4(start + key) <= asking;
      let score = scores(i / PAGE, page, kv_head, start + key);
      p_tile[key * quads + i / PAGE] = select(vec4(-1e30), score, seen);
    }
    workgroupBarrier();
    var highest = most;
    for (var key = part; key < PAGE; key += parts) {
      highest = max(highest, p_tile[key * quads + quad]);
    }
    max_tile[thread] = highest;
    workgroupBarrier();
    for (var i = 0u; i < parts; i++) {
      highest = max(highest, max_tile[quad * parts + i]);
    }
    let shrink = exp(most - highest);
    most = highest;
    weight *= shrink;
    for (var key = part; key < PAGE; key += parts) {
      let p = exp(p_tile[key * quads + quad] - highest);
      weight += p;
      p_tile[key * quads + quad] = p;
    }
    for (var i = 0u; i < 8u; i++) {
      sums[i] *= shrink;
    }
    workgroupBarrier();
    for (var key = 0u; key < min(PAGE, last + 1u - start); key++) {
      let v = value_read(page, kv_head, part, start + key);
      let w = p_tile[key * quads + quad];
      sums[0] += w * v[0].x;
      sums[1] += w * v[0].y;
      sums[2] += w * v[0].z;
      sums[3] += w * v[0].w;
      sums[4] += w * v[1].x;
      sums[5] += w * v[1].y;
      sums[6] += w * v[1].z;
      sums[7] += w * v[1].w;
    }
    workgroupBarrier();
  }

  max_tile[thread] = weight;
  workgroupBarrier();
  var total = vec4<f32>();
  for (var i = 0u; i < parts; i++) {
    total += max_tile[quad * parts + i];
  }
  for (var i = 0u; i < 4u; i++) {
    let m = m0 + quad * 4u + i;
    if (m < rows) {
      let at = (m * Y_STRIDE + head * HEAD_DIM) / 4u + part * 2u;
      y[at] = vec4(sums[0][i], sums[1][i], sums[2][i], sums[3][i]) / total[i];
      y[at + 1u] = vec4(sums[4][i], sums[5][i], sums[6][i], sums[7][i]) / total[i];
    }
  }
}
