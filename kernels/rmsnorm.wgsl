// RMSNorm of rows (arXiv 1910.07467): y[m] = x[m] / sqrt(mean(x[m]^2) + EPS) * weight.
//
// Purpose   before the projections of a prefill chunk, and before the output of several rows
// Bindings  0 x, 1 weight (f32, padded to whole blocks), 2 y: rows padded to whole blocks
// Dispatch  (1, rows) workgroups

${enables}

override BLOCKS: u32;   // row length in blocks of 32
override K: u32;        // row length, unpadded
override EPS: f32;
override LANES: u32;    // THREADS
override THREADS: u32;  // a power of two

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

${lanes}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let row = group.y * BLOCKS * 8u;
  var squares = 0.0;
  for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
    squares += dot(x[row + i], x[row + i]);
  }
  let total = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
  let factor = inverseSqrt(total / f32(K) + EPS);
  for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
    y[row + i] = x[row + i] * factor * weight[i];
  }
}
