// Attention of a chunk's positions over all earlier ones, and where it says so over later ones of the
// same image (FlashAttention-2, arXiv 2307.08691: online softmax over tiles of keys, one workgroup a
// tile of queries).
//
// Bindings  0 q     [rows][HEADS * HEAD_DIM], f32, rotated
//           1 step  see epilogue/rope_append.wgsl
//           2 kv    the layer's pages (the reader declares it)
//           3 y     [rows][Y_STRIDE], f32: HEADS * HEAD_DIM of each row; Y_STRIDE a multiple of 4
//           4 sinks f32 by head, of models that have them
// Dispatch  (ceil(rows / QUERIES), HEADS) workgroups
// Assumes   the rows are consecutive positions of one slot, none of which sees less far ahead than the
//           one before; a tile of keys is a page; HEAD_DIM a multiple of 8. Rows past the chunk's end
//           write nothing.
//
// LANES = HEAD_DIM / 8 * SHARES threads work for a quad of queries: a thread scores every LANES-th
// key of a page, up to 4, and sums dimensions 8 * part .. + 7 over every SHARES-th run of 4 keys.
// A vec4 is a number of each query of the quad throughout. What a compiler might index at run time
// are named parts, not arrays: they are to stay in registers.

${enables}

override HEADS: u32;
override QUERIES: u32;   // a tile, a multiple of 4
override SCALE: f32;     // of the scores: 1 / sqrt(HEAD_DIM)
override Y_STRIDE: u32;
override SHARES: u32;    // a power of two, at most 8
override LANES: u32;     // at least 8
override THREADS: u32;   // QUERIES / 4 * LANES

@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

${pages}
${kv_read}
${attention/span}
${reach}
${attention/softcap}
${sinks}

// Eight dimensions.
struct Part {
  d0: vec4<f32>, d1: vec4<f32>, d2: vec4<f32>, d3: vec4<f32>,
  d4: vec4<f32>, d5: vec4<f32>, d6: vec4<f32>, d7: vec4<f32>,
}

struct Scores {
  k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>,
}

var<workgroup> q_tile: array<Part, QUERIES * HEAD_DIM / 32u>;  // [quad][part]
var<workgroup> p_tile: array<vec4<f32>, PAGE * QUERIES / 4u>;  // [quad][key]: weights
var<workgroup> lane_tile: array<vec4<f32>, THREADS>;

// The rows of a quad of queries, scaled; rows past the chunk's end are its last.
fn load_q(m: u32, rows: u32, head: u32, part: u32) -> Part {
  let a0 = q[q_at(m, rows, head, part)] * SCALE;
  let a1 = q[q_at(m, rows, head, part) + 1u] * SCALE;
  let b0 = q[q_at(m + 1u, rows, head, part)] * SCALE;
  let b1 = q[q_at(m + 1u, rows, head, part) + 1u] * SCALE;
  let c0 = q[q_at(m + 2u, rows, head, part)] * SCALE;
  let c1 = q[q_at(m + 2u, rows, head, part) + 1u] * SCALE;
  let d0 = q[q_at(m + 3u, rows, head, part)] * SCALE;
  let d1 = q[q_at(m + 3u, rows, head, part) + 1u] * SCALE;
  return Part(vec4(a0.x, b0.x, c0.x, d0.x), vec4(a0.y, b0.y, c0.y, d0.y),
              vec4(a0.z, b0.z, c0.z, d0.z), vec4(a0.w, b0.w, c0.w, d0.w),
              vec4(a1.x, b1.x, c1.x, d1.x), vec4(a1.y, b1.y, c1.y, d1.y),
              vec4(a1.z, b1.z, c1.z, d1.z), vec4(a1.w, b1.w, c1.w, d1.w));
}

fn q_at(m: u32, rows: u32, head: u32, part: u32) -> u32 {
  return (min(m, rows - 1u) * HEADS + head) * (HEAD_DIM / 4u) + part * 2u;
}

// Adds 8 dimensions to the score of a key.
fn with_dimensions(score: vec4<f32>, a: Part, k: array<vec4<f32>, 2>) -> vec4<f32> {
  let low = score + a.d0 * k[0].x + a.d1 * k[0].y + a.d2 * k[0].z + a.d3 * k[0].w;
  return low + a.d4 * k[1].x + a.d5 * k[1].y + a.d6 * k[1].z + a.d7 * k[1].w;
}

// The scores of a page's keys lane, lane + LANES, ...
fn scores(quad: u32, lane: u32, page: u32, kv_head: u32) -> Scores {
  var s = Scores();
  for (var d = 0u; d < HEAD_DIM / 8u; d++) {
    let a = q_tile[quad * (HEAD_DIM / 8u) + d];
    let k0 = key_read(page, kv_head, d, min(lane, PAGE - 1u));
    if (LANES < PAGE) {
      let k1 = key_read(page, kv_head, d, min(lane + LANES, PAGE - 1u));
      s.k1 = with_dimensions(s.k1, a, k1);
    }
    if (2u * LANES < PAGE) {
      let k2 = key_read(page, kv_head, d, min(lane + 2u * LANES, PAGE - 1u));
      let k3 = key_read(page, kv_head, d, min(lane + 3u * LANES, PAGE - 1u));
      s.k2 = with_dimensions(s.k2, a, k2);
      s.k3 = with_dimensions(s.k3, a, k3);
    }
    s.k0 = with_dimensions(s.k0, a, k0);
  }
  return s;
}

// A quad of queries: where they are, and the last keys that they see.
struct Asking {
  at: vec4<u32>, last: vec4<u32>,
}

fn asking_of(m: u32, rows: u32) -> Asking {
  let end = rows - 1u;
  let a = min(m, end);
  let b = min(m + 1u, end);
  let c = min(m + 2u, end);
  let d = min(m + 3u, end);
  return Asking(vec4(position_of(a), position_of(b), position_of(c), position_of(d)),
                vec4(last_key(a), last_key(b), last_key(c), last_key(d)));
}

// A key's score for the queries that may see it; none may see those past the page's end. What a query
// makes of pages without a key for it is undone by the first one that has one.
fn masked(score: vec4<f32>, key: u32, start: u32, asking: Asking) -> vec4<f32> {
  var seen = (vec4(start + key) <= asking.last) & vec4(key < PAGE);
  if (WINDOW > 0u) {
    seen = seen & (vec4(start + key + WINDOW) > asking.at);
  }
  return select(vec4(-1e30), capped(score), seen);
}

fn weigh(score: vec4<f32>, most: vec4<f32>, key: u32, quad: u32) -> vec4<f32> {
  let p = exp(score - most);
  if (key < PAGE) {
    p_tile[quad * PAGE + key] = p;
  }
  return p;
}

// Adds a key's value, as far as the queries want it.
fn with_value(s: Part, p: vec4<f32>, v: array<vec4<f32>, 2>) -> Part {
  return Part(s.d0 + p * v[0].x, s.d1 + p * v[0].y, s.d2 + p * v[0].z, s.d3 + p * v[0].w,
              s.d4 + p * v[1].x, s.d5 + p * v[1].y, s.d6 + p * v[1].z, s.d7 + p * v[1].w);
}

fn sum_of(a: Part, b: Part) -> Part {
  return Part(a.d0 + b.d0, a.d1 + b.d1, a.d2 + b.d2, a.d3 + b.d3,
              a.d4 + b.d4, a.d5 + b.d5, a.d6 + b.d6, a.d7 + b.d7);
}

fn scaled(a: Part, by: vec4<f32>) -> Part {
  return Part(a.d0 * by, a.d1 * by, a.d2 * by, a.d3 * by,
              a.d4 * by, a.d5 * by, a.d6 * by, a.d7 * by);
}

fn store(m: u32, rows: u32, head: u32, part: u32, low: vec4<f32>, high: vec4<f32>) {
  if (m < rows) {
    let at = (m * Y_STRIDE + head * HEAD_DIM) / 4u + part * 2u;
    y[at] = low;
    y[at + 1u] = high;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let rows = step[0];
  // Late queries see the most keys: they begin first.
  let m0 = (groups.x - 1u - group.x) * QUERIES;
  if (m0 >= rows) {
    return;
  }
  let head = group.y;
  let kv_head = head / (HEADS / KV_HEADS);
  let last = last_key(min(m0 + QUERIES, rows) - 1u);
  let parts = HEAD_DIM / 8u;
  let quads = QUERIES / 4u;
  for (var i = thread; i < quads * parts; i += THREADS) {
    q_tile[i] = load_q(m0 + i / parts * 4u, rows, head, i % parts);
  }
  workgroupBarrier();

  let quad = thread / LANES;
  let lane = thread % LANES;
  let part = lane % parts;
  let share = lane / parts;
  let asking = asking_of(m0 + quad * 4u, rows);
  var most = vec4(sink_of(head));
  var weight = vec4(select(0.0, 1.0, lane == 0u));  // the sink's
  var sums = Part();
  for (var start = first_key(position_of(m0)) / PAGE * PAGE; start <= last; start += PAGE) {
    let page = page_of(m0, start);
    let found = scores(quad, lane, page, kv_head);
    let s0 = masked(found.k0, lane, start, asking);
    let s1 = masked(found.k1, lane + LANES, start, asking);
    let s2 = masked(found.k2, lane + 2u * LANES, start, asking);
    let s3 = masked(found.k3, lane + 3u * LANES, start, asking);
    lane_tile[thread] = max(max(s0, s1), max(s2, s3));
    workgroupBarrier();
    var highest = most;
    for (var i = 0u; i < LANES; i++) {
      highest = max(highest, lane_tile[quad * LANES + i]);
    }
    let shrink = exp(most - highest);
    most = highest;
    weight = weight * shrink + weigh(s0, most, lane, quad) + weigh(s1, most, lane + LANES, quad)
           + weigh(s2, most, lane + 2u * LANES, quad) + weigh(s3, most, lane + 3u * LANES, quad);
    sums = scaled(sums, shrink);
    workgroupBarrier();
    // Values past the end, whose weights are 0, are read as the last one.
    let end = min(PAGE - 1u, last - start);
    for (var key = share * 4u; key < PAGE; key += SHARES * 4u) {
      let v0 = value_read(page, kv_head, part, min(key, end));
      let v1 = value_read(page, kv_head, part, min(key + 1u, end));
      let v2 = value_read(page, kv_head, part, min(key + 2u, end));
      let v3 = value_read(page, kv_head, part, min(key + 3u, end));
      let at = quad * PAGE + key;
      sums = with_value(sums, p_tile[at], v0);
      sums = with_value(sums, p_tile[at + 1u], v1);
      sums = with_value(sums, p_tile[at + 2u], v2);
      sums = with_value(sums, p_tile[at + 3u], v3);
    }
  }

  lane_tile[thread] = weight;
  for (var other = SHARES - 1u; other > 0u; other--) {
    workgroupBarrier();
    if (share == other) {
      q_tile[quad * parts + part] = sums;
    }
    workgroupBarrier();
    if (share == 0u) {
      sums = sum_of(sums, q_tile[quad * parts + part]);
    }
  }
  workgroupBarrier();
  if (share > 0u) {
    return;
  }
  var total = vec4<f32>();
  for (var i = 0u; i < LANES; i++) {
    total += lane_tile[quad * LANES + i];
  }
  let s = scaled(sums, 1.0 / total);
  let m = m0 + quad * 4u;
  store(m, rows, head, part, vec4(s.d0.x, s.d1.x, s.d2.x, s.d3.x), vec4(s.d4.x, s.d5.x, s.d6.x, s.d7.x));
  store(m + 1u, rows, head, part, vec4(s.d0.y, s.d1.y, s.d2.y, s.d3.y), vec4(s.d4.y, s.d5.y, s.d6.y, s.d7.y));
  store(m + 2u, rows, head, part, vec4(s.d0.z, s.d1.z, s.d2.z, s.d3.z), vec4(s.d4.z, s.d5.z, s.d6.z, s.d7.z));
  store(m + 3u, rows, head, part, vec4(s.d0.w, s.d1.w, s.d2.w, s.d3.w), vec4(s.d4.w, s.d5.w, s.d6.w, s.d7.w));
}
