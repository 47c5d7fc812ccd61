// One row of activations times a weight matrix: v[n] = sum_k W[n][k] * x[k] (+ bias[n]).
//
// Purpose   every linear layer of a decode step. With NORM, x goes through RMSNorm first
//           (arXiv 1910.07467): the sum of squares is taken along the way, so no pass of its own.
// Bindings  0 x        activations, f32, padded with zeros to whole blocks
//           1 quants, 2 scales   the weight's rows (the quantization reader declares them)
//           3 vectors  f32: norm weight, padded to whole blocks (if NORM); bias by output row (if BIAS)
//           4..7       the epilogue's
// Dispatch  ceil(N / (GROUPS * ROWS)) workgroups, spread over x and y where one dimension is too short
// Assumes   rows padded to whole blocks of 32; ROW0 even; emit() takes pairs of rows (n, n + 1), n even

${enables}

override BLOCKS: u32;            // row length in blocks of 32
override K: u32;                 // row length, unpadded: what RMSNorm divides by
override N: u32;                 // output rows of the whole (virtual) matrix
override ROW0: u32 = 0u;         // the first output row that this buffer holds
override SLICE: u32;             // how many rows it holds
override LANES: u32;             // threads along a row, a power of two
override GROUPS: u32;            // row groups a workgroup
override ROWS: u32;              // rows a row group computes: 2 or 4
override NORM: bool = false;
override BIAS: bool = false;
override BIAS_AT: u32 = 0u;      // where the bias starts within vectors, in vec4
override EPS: f32 = 0.0;
override THREADS: u32;           // LANES * GROUPS

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> vectors: array<vec4<f32>>;

var<private> x_block: array<vec4<f32>, 8>;

${quant}
${epilogue}
${lanes}

fn finish(row: u32, sum: f32) -> f32 {
  if (BIAS) {
    return sum + vectors[BIAS_AT + row / 4u][row % 4u];
  }
  return sum;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let lane = thread % LANES;
  let first = ((group.y * groups.x + group.x) * GROUPS + thread / LANES) * ROWS;
  let last = SLICE - 1u;
  // Rows past the end are read as the last one, and not emitted.
  let row = min(vec4(first, first + 1u, first + 2u, first + 3u), vec4(last)) * BLOCKS;
  var sums = vec4<f32>();
  var squares = 0.0;
  for (var block = lane; block < BLOCKS; block += LANES) {
    for (var i = 0u; i < 8u; i++) {
      let value = x[block * 8u + i];
      if (NORM) {
        squares += dot(value, value);
        x_block[i] = value * vectors[block * 8u + i];
      } else {
        x_block[i] = value;
      }
    }
    sums.x += dot_block(row.x + block);
    sums.y += dot_block(row.y + block);
    if (ROWS > 2u) {
      sums.z += dot_block(row.z + block);
      sums.w += dot_block(row.w + block);
    }
  }
  sums = lane_sum(sums, thread);
  if (NORM) {
    let total = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
    sums *= inverseSqrt(total / f32(K) + EPS);
  }
  // The first lanes of a row group each finish one pair of rows.
  if (lane < ROWS / 2u) {
    let n = first + 2u * lane;
    if (n <= last) {
      let pair = select(sums.xy, sums.zw, lane == 1u);
      emit(0u, ROW0 + n, vec2(finish(ROW0 + n, pair.x), finish(min(ROW0 + n + 1u, N - 1u), pair.y)));
    }
  }
}
