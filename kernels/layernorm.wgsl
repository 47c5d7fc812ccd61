// LayerNorm of rows (arXiv 1607.06450): y[m] = (x[m] - mean) / sqrt(variance + EPS) * weight (+ bias).
//
// Purpose   the norms of encoders, behind each residual sum, and of decoders that have them
// Bindings  0 x, 1 vectors (f32: the weight, then the bias from BIAS_AT), 2 y: rows padded to whole
//           blocks, with zeros
// Dispatch  (1, rows) workgroups

${enables}

override BLOCKS: u32;         // row length in blocks of 32
override K: u32;              // row length, unpadded
override EPS: f32;
override BIAS: bool = true;
override BIAS_AT: u32 = 0u;   // where the bias starts within vectors, in vec4
override LANES: u32;          // THREADS
override THREADS: u32;        // a power of two

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

${lanes}

// Zeros in the place of what pads a row.
fn unpadded(v: vec4<f32>, i: u32) -> vec4<f32> {
  return select(vec4<f32>(), v, vec4(4u * i) + vec4(0u, 1u, 2u, 3u) < vec4(K));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let row = group.y * BLOCKS * 8u;
  var sum = vec4<f32>();
  for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
    sum += x[row + i];
  }
  let mean = dot(lane_sum(sum, thread), vec4(1.0)) / f32(K);
  var squares = vec4<f32>();
  for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
    let off = unpadded(x[row + i] - mean, i);
    squares += off * off;
  }
  let factor = inverseSqrt(dot(lane_sum(squares, thread), vec4(1.0)) / f32(K) + EPS);
  for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
    var v = (x[row + i] - mean) * factor * vectors[i];
    if (BIAS) {
      v += vectors[BIAS_AT + i];
    }
    y[row + i] = unpadded(v, i);
  }
}
