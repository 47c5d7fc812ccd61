// Puts the splits of attention_split together: the second half of a decode step's attention.
//
// Bindings  0 partial  see attention_split.wgsl
//           1 step     see epilogue/rope_append.wgsl
//           2 y        [rows][Y_STRIDE], f32: HEADS * HEAD_DIM of each row
// Dispatch  (HEADS, rows) workgroups
// Assumes   SPLITS and KEYS (keys a tile) as attention_split had them

${enables}

override HEADS: u32;
override HEAD_DIM: u32;
override SPLITS: u32;
override KEYS: u32;
override Y_STRIDE: u32;
override STEP_ROWS: u32;

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> maxima: array<f32, SPLITS>;
var<workgroup> factors: array<f32, SPLITS>;
var<workgroup> weights: array<f32, SPLITS>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.y;
  if (m >= step[0]) {
    return;  // rows past the last one
  }
  let tiles = (step[STEP_ROWS + 4u * m + 1u] + KEYS) / KEYS;
  let tiles_each = (tiles + SPLITS - 1u) / SPLITS;
  let splits = (tiles + tiles_each - 1u) / tiles_each;
  let row = (m * HEADS + group.x) * SPLITS * (HEAD_DIM + 4u);
  for (var s = thread; s < splits; s += 64u) {
    maxima[s] = partial[row + s * (HEAD_DIM + 4u) + HEAD_DIM];
    weights[s] = partial[row + s * (HEAD_DIM + 4u) + HEAD_DIM + 1u];
  }
  workgroupBarrier();
  var most = -1e30;
  for (var s = 0u; s < splits; s++) {
    most = max(most, maxima[s]);
  }
  for (var s = thread; s < splits; s += 64u) {
    factors[s] = exp(maxima[s] - most);
  }
  workgroupBarrier();
  var weight = 0.0;
  for (var s = 0u; s < splits; s++) {
    weight += weights[s] * factors[s];
  }
  for (var d = thread; d < HEAD_DIM; d += 64u) {
    var sum = 0.0;
    var s = 0u;
    let stride = HEAD_DIM + 4u;
    for (; s + 4u <= splits; s += 4u) {
      let at = row + s * stride + d;
      let a = partial[at];
      let b = partial[at + stride];
      let c = partial[at + 2u * stride];
      let e = partial[at + 3u * stride];
      sum += a * factors[s] + b * factors[s + 1u] + c * factors[s + 2u] + e * factors[s + 3u];
    }
    for (; s < splits; s++) {
      sum += partial[row + s * stride + d] * factors[s];
    }
    y[m * Y_STRIDE + group.x * HEAD_DIM + d] = sum / weight;
  }
}
