// Attention of single new positions over a part of their keys each (flash-decoding,
// arXiv 2205.14135 and its 2023 follow-up): the first half of a decode step's attention.
//
// Purpose   long contexts fill the GPU: SPLITS workgroups share the keys of one head
// Bindings  0 q        [rows][HEADS * HEAD_DIM], f32, rotated
//           1 step     see epilogue/rope_append.wgsl
//           2 kv       the layer's pages (the reader declares it)
//           3 partial  [rows][HEADS][SPLITS][HEAD_DIM + 4]: unnormalised sums, then maximum, weight and
//                      two words that are free
//           4 sinks    f32 by head, of models that have them; `ahead` may have one more
// Dispatch  (SPLITS, KV_HEADS * QUADS, rows) workgroups; one takes up to 4 query heads of a kv head
// Assumes   HEAD_DIM a multiple of 8 and at most 8 * THREADS; THREADS a multiple of PAGE, at most 64;
//           splits past the end write nothing

${enables}

override HEADS: u32;
override QUADS: u32;     // ceil(HEADS / KV_HEADS / 4)
override SPLITS: u32;
override SCALE: f32;     // of the scores: 1 / sqrt(HEAD_DIM)
override LANES: u32;     // THREADS
override THREADS: u32;   // a power of two; keys a tile

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

${pages}
${kv_read}
${attention/span}
${attention/softcap}
${sinks}
${lanes}
${ahead}

var<workgroup> q_tile: array<vec4<f32>, HEAD_DIM>;  // element d of four heads
var<workgroup> p_tile: array<vec4<f32>, THREADS>;   // weights of the tile's keys, four heads each
var<workgroup> pages: array<u32, THREADS / PAGE>;   // of the tile's keys
var<workgroup> sum_tile: array<vec4<f32>, 8u * THREADS>;

fn scores(d: u32, k: array<vec4<f32>, 2>) -> vec4<f32> {
  return q_tile[d] * k[0].x + q_tile[d + 1u] * k[0].y + q_tile[d + 2u] * k[0].z + q_tile[d + 3u] * k[0].w
       + q_tile[d + 4u] * k[1].x + q_tile[d + 5u] * k[1].y + q_tile[d + 6u] * k[1].z + q_tile[d + 7u] * k[1].w;
}

// Loads come before their uses, four at a time, so that they wait together.
fn key_scores(page: u32, kv_head: u32, position: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  var d = 0u;
  for (; d + 32u <= HEAD_DIM; d += 32u) {
    let a = key_read(page, kv_head, d / 8u, position);
    let b = key_read(page, kv_head, d / 8u + 1u, position);
    let c = key_read(page, kv_head, d / 8u + 2u, position);
    let e = key_read(page, kv_head, d / 8u + 3u, position);
    sum += scores(d, a) + scores(d + 8u, b) + scores(d + 16u, c) + scores(d + 24u, e);
  }
  for (; d < HEAD_DIM; d += 8u) {
    sum += scores(d, key_read(page, kv_head, d / 8u, position));
  }
  return sum;
}

// One dimension of four heads each. Named parts, not an array: they are to stay in registers.
struct Sums {
  d0: vec4<f32>,
  d1: vec4<f32>,
  d2: vec4<f32>,
  d3: vec4<f32>,
  d4: vec4<f32>,
  d5: vec4<f32>,
  d6: vec4<f32>,
  d7: vec4<f32>,
}

fn shrunk(s: Sums, f: vec4<f32>) -> Sums {
  return Sums(s.d0 * f, s.d1 * f, s.d2 * f, s.d3 * f, s.d4 * f, s.d5 * f, s.d6 * f, s.d7 * f);
}

fn added(s: Sums, w: vec4<f32>, v: array<vec4<f32>, 2>) -> Sums {
  return Sums(s.d0 + w * v[0].x, s.d1 + w * v[0].y, s.d2 + w * v[0].z, s.d3 + w * v[0].w,
              s.d4 + w * v[1].x, s.d5 + w * v[1].y, s.d6 + w * v[1].z, s.d7 + w * v[1].w);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.z;
  if (m >= step[0]) {
    return;  // rows past the last one
  }
  let keys = position_of(m) + 1u;
  let first_seen = first_key(keys - 1u);
  let tiles = tiles_of(keys - 1u, THREADS);
  let tiles_each = (tiles + SPLITS - 1u) / SPLITS;
  let first_tile = group.x * tiles_each;
  if (first_tile >= tiles) {
    return;
  }
  let kv_head = group.y / QUADS;
  let per_kv = HEADS / KV_HEADS;
  let in_group = (group.y % QUADS) * 4u;       // first query head, within those of the kv head
  let head = kv_head * per_kv + in_group;
  let n_heads = min(4u, per_kv - in_group);
  let known = ahead_known(thread, n_heads);
  for (var d = thread; d < HEAD_DIM; d += THREADS) {
    // Heads past the last one are the last one again; nobody reads their results.
    let at = (m * HEADS + head) * HEAD_DIM + d;
    q_tile[d] = SCALE * vec4(q[at], q[at + min(1u, n_heads - 1u) * HEAD_DIM],
                             q[at + min(2u, n_heads - 1u) * HEAD_DIM],
                             q[at + min(3u, n_heads - 1u) * HEAD_DIM]);
  }
  workgroupBarrier();

  // In the second half of each tile, thread = sub * (HEAD_DIM / 8) + part: it sums dimensions
  // 8 * part .. 8 * part + 7 over every SUBS-th key.
  let parts = HEAD_DIM / 8u;
  let subs = THREADS / parts;
  let part = thread % parts;
  let sub = thread / parts;
  // The first split has the heads' sinks.
  let sink = vec4(sink_of(head), sink_of(head + min(1u, n_heads - 1u)),
                  sink_of(head + min(2u, n_heads - 1u)), sink_of(head + min(3u, n_heads - 1u)));
  var most = select(vec4(-1e30), sink, group.x == 0u);
  var weight = vec4(select(0.0, 1.0, group.x == 0u && thread == 0u));
  var sums = Sums();
  for (var tile = first_tile; tile < min(first_tile + tiles_each, tiles); tile++) {
    let start = (first_seen / THREADS + tile) * THREADS;
    let position = start + thread;
    let page = page_of(m, min(position, keys - 1u));
    if (thread % PAGE == 0u) {
      pages[thread / PAGE] = page;
    }
    var score = vec4(-1e30);
    let seen = position >= first_seen && position < keys;
    if (seen) {
      score = capped(key_scores(page, kv_head, position));
    }
    let highest = max(most, lane_max(score, thread));
    let p = select(vec4<f32>(), exp(score - highest), vec4(seen));
    let shrink = exp(most - highest);
    most = highest;
    weight = weight * shrink + p;
    sums = shrunk(sums, shrink);
    p_tile[thread] = p;
    workgroupBarrier();
    if (sub < subs) {
      // Past the end the last key is read again, with weight 0: what lies behind it may be NaN.
      let last = min(THREADS, keys - start) - 1u;
      for (var i = sub; i <= last; i += 4u * subs) {
        let i1 = min(i + subs, last);
        let i2 = min(i + 2u * subs, last);
        let i3 = min(i + 3u * subs, last);
        let a = value_read(pages[i / PAGE], kv_head, part, i);
        let b = value_read(pages[i1 / PAGE], kv_head, part, i1);
        let c = value_read(pages[i2 / PAGE], kv_head, part, i2);
        let e = value_read(pages[i3 / PAGE], kv_head, part, i3);
        sums = added(sums, p_tile[i], a);
        sums = added(sums, select(vec4<f32>(), p_tile[i1], i + subs <= last), b);
        sums = added(sums, select(vec4<f32>(), p_tile[i2], i + 2u * subs <= last), c);
        sums = added(sums, select(vec4<f32>(), p_tile[i3], i + 3u * subs <= last), e);
      }
    }
    workgroupBarrier();
  }

  let total = lane_sum(weight, thread);
  sum_tile[thread] = sums.d0;
  sum_tile[THREADS + thread] = sums.d1;
  sum_tile[2u * THREADS + thread] = sums.d2;
  sum_tile[3u * THREADS + thread] = sums.d3;
  sum_tile[4u * THREADS + thread] = sums.d4;
  sum_tile[5u * THREADS + thread] = sums.d5;
  sum_tile[6u * THREADS + thread] = sums.d6;
  sum_tile[7u * THREADS + thread] = sums.d7;
  workgroupBarrier();
  let row = ((m * HEADS + head) * SPLITS + group.x) * (HEAD_DIM + 4u);
  let next_head = SPLITS * (HEAD_DIM + 4u);
  for (var d = thread; d < HEAD_DIM; d += THREADS) {
    var sum = vec4<f32>();
    for (var s = 0u; s < subs; s++) {
      sum += sum_tile[d % 8u * THREADS + s * parts + d / 8u];
    }
    for (var h = 0u; h < n_heads; h++) {
      partial[row + h * next_head + d] = sum[h];
    }
    ahead_keep(d, sum);
  }
  if (thread < n_heads) {
    partial[row + thread * next_head + HEAD_DIM] = most[thread];
    partial[row + thread * next_head + HEAD_DIM + 1u] = total[thread];
  }
  ahead_heads(thread, head, n_heads, group.x, known);
}
