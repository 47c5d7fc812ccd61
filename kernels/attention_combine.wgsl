// Puts the splits of attention_split together: the second half of a decode step's attention.
//
// Bindings  0 partial  see attention_split.wgsl
//           1 step     see epilogue/rope_append.wgsl
//           2 y        [rows][Y_STRIDE], f32: HEADS * HEAD_DIM of each row; `ahead` may have one more
// Dispatch  (HEADS, rows) workgroups
// Assumes   SPLITS and KEYS (keys a tile) as attention_split had them
//
// A thread adds up every PARTS-th split of an element, so that few loads wait for each other.

${enables}

override HEADS: u32;
override HEAD_DIM: u32;
override SPLITS: u32;
override KEYS: u32;
override Y_STRIDE: u32;
override STEP_ROWS: u32;
override PARTS: u32;     // 1 to 4
override THREADS: u32;   // 64 * PARTS

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

${attention/span}
${ahead}

var<workgroup> maxima: array<f32, SPLITS>;
var<workgroup> factors: array<f32, SPLITS>;
var<workgroup> weights: array<f32, SPLITS>;
var<workgroup> sums: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.y;
  if (m >= step[0]) {
    return;  // rows past the last one
  }
  let known = ahead_known(thread);
  let tiles = tiles_of(step[STEP_ROWS + 4u * m + 1u], KEYS);
  let tiles_each = (tiles + SPLITS - 1u) / SPLITS;
  let splits = (tiles + tiles_each - 1u) / tiles_each;
  let row = (m * HEADS + group.x) * SPLITS * (HEAD_DIM + 4u);
  for (var s = thread; s < splits; s += THREADS) {
    maxima[s] = partial[row + s * (HEAD_DIM + 4u) + HEAD_DIM];
    weights[s] = partial[row + s * (HEAD_DIM + 4u) + HEAD_DIM + 1u];
  }
  let held = ahead_held(known, thread, group.x);
  workgroupBarrier();
  var most = -1e30;
  for (var s = 0u; s < splits; s++) {
    most = max(most, maxima[s]);
  }
  for (var s = thread; s < splits; s += THREADS) {
    factors[s] = exp(maxima[s] - most);
  }
  workgroupBarrier();
  var weight = 0.0;
  for (var s = 0u; s < splits; s++) {
    weight += weights[s] * factors[s];
  }
  let part = thread / 64u;
  let stride = HEAD_DIM + 4u;
  for (var d0 = 0u; d0 < HEAD_DIM; d0 += 64u) {
    let d = d0 + thread % 64u;
    var sum = 0.0;
    if (d < HEAD_DIM) {
      var s = part;
      for (; s + 3u * PARTS < splits; s += 4u * PARTS) {
        let at = row + s * stride + d;
        let a = partial[at];
        let b = partial[at + PARTS * stride];
        let c = partial[at + 2u * PARTS * stride];
        let e = partial[at + 3u * PARTS * stride];
        sum += a * factors[s] + b * factors[s + PARTS]
             + c * factors[s + 2u * PARTS] + e * factors[s + 3u * PARTS];
      }
      for (; s < splits; s += PARTS) {
        sum += partial[row + s * stride + d] * factors[s];
      }
    }
    if (PARTS > 1u) {
      sums[thread] = sum;
      workgroupBarrier();
      for (var other = 1u; other < PARTS; other++) {
        sum += sums[(thread + other * 64u) % THREADS];
      }
      workgroupBarrier();
    }
    if (part == 0u && d < HEAD_DIM) {
      y[m * Y_STRIDE + group.x * HEAD_DIM + d] = sum / weight;
      ahead_keep(d, HEAD_DIM, group.x);
    }
  }
  ahead_made(thread, group.x, held);
}
