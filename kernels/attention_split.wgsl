// Attention of single new positions over a part of their keys each (flash-decoding,
// arXiv 2205.14135 and its 2023 follow-up): the first half of a decode step's attention.
//
// Purpose   long contexts fill the GPU: SPLITS workgroups share the keys of one head
// Bindings  0 q        [rows][HEADS * HEAD_DIM], f32, rotated
//           1 step     see epilogue/rope_append.wgsl
//           2 kv       the layer's pages (the reader declares it)
//           3 partial  [rows][HEADS][SPLITS][HEAD_DIM + 2]: unnormalised sums, then maximum and weight
// Dispatch  (SPLITS, KV_HEADS * QUADS, rows) workgroups; one takes up to 4 query heads of a kv head
// Assumes   HEAD_DIM a multiple of 8 and at most 8 * THREADS; splits past the end write nothing

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
${lanes}

var<workgroup> q_tile: array<vec4<f32>, HEAD_DIM>;  // element d of four heads
var<workgroup> p_tile: array<vec4<f32>, THREADS>;   // weights of the tile's keys, four heads each

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.z;
  let keys = position_of(m) + 1u;
  let tiles = (keys + THREADS - 1u) / THREADS;
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
  for (var d = thread; d < HEAD_DIM; d += THREADS) {
    var elements = vec4<f32>();
    for (var h = 0u; h < n_heads; h++) {
      elements[h] = q[(m * HEADS + head + h) * HEAD_DIM + d] * SCALE;
    }
    q_tile[d] = elements;
  }
  workgroupBarrier();

  // In the second half of each tile, thread = sub * (HEAD_DIM / 8) + part: it sums dimensions
  // 8 * part .. 8 * part + 7 over every SUBS-th key.
  let parts = HEAD_DIM / 8u;
  let subs = THREADS / parts;
  let part = thread % parts;
  let sub = thread / parts;
  var most = vec4(-1e30);
  var weight = vec4<f32>();
  var sums: array<vec4<f32>, 8>;
  for (var tile = first_tile; tile < min(first_tile + tiles_each, tiles); tile++) {
    let start = tile * THREADS;
    let position = start + thread;
    var score = vec4(-1e30);
    if (position < keys) {
      score = vec4<f32>();
      let group_of_key = key_group(page_of(m, position), kv_head, position);
      for (var d = 0u; d < HEAD_DIM; d += 8u) {
        let k = kv_read(group_of_key + d / 8u * PAGE);
        score += q_tile[d] * k[0].x + q_tile[d + 1u] * k[0].y + q_tile[d + 2u] * k[0].z + q_tile[d + 3u] * k[0].w
               + q_tile[d + 4u] * k[1].x + q_tile[d + 5u] * k[1].y + q_tile[d + 6u] * k[1].z + q_tile[d + 7u] * k[1].w;
      }
    }
    let highest = max(most, lane_max(score, thread));
    let p = select(vec4<f32>(), exp(score - highest), vec4(position < keys));
    let shrink = exp(most - highest);
    most = highest;
    weight = weight * shrink + p;
    for (var i = 0u; i < 8u; i++) {
      sums[i] *= shrink;
    }
    p_tile[thread] = p;
    workgroupBarrier();
    if (sub < subs) {
      for (var i = sub; i < min(THREADS, keys - start); i += subs) {
        let v = kv_read(value_group(page_of(m, start + i), kv_head, start + i) + part);
        let w = p_tile[i];
        sums[0] += w * v[0].x;
        sums[1] += w * v[0].y;
        sums[2] += w * v[0].z;
        sums[3] += w * v[0].w;
        sums[4] += w * v[1].x;
        sums[5] += w * v[1].y;
        sums[6] += w * v[1].z;
        sums[7] += w * v[1].w;
      }
    }
    workgroupBarrier();
  }

  let total = lane_sum(weight, thread);
  let row = ((m * HEADS + head) * SPLITS + group.x) * (HEAD_DIM + 2u);
  let next_head = SPLITS * (HEAD_DIM + 2u);
  for (var i = 0u; i < 8u; i++) {
    p_tile[thread] = sums[i];
    workgroupBarrier();
    if (thread < parts) {
      var sum = vec4<f32>();
      for (var s = 0u; s < subs; s++) {
        sum += p_tile[s * parts + thread];
      }
      for (var h = 0u; h < n_heads; h++) {
        partial[row + h * next_head + thread * 8u + i] = sum[h];
      }
    }
    workgroupBarrier();
  }
  if (thread < n_heads) {
    partial[row + thread * next_head + HEAD_DIM] = most[thread];
    partial[row + thread * next_head + HEAD_DIM + 1u] = total[thread];
  }
}
