// RMSNorm of rows (arXiv 1910.07467): y[m] = x[m] / sqrt(mean(x[m]^2) + EPS) * weight; or LayerNorm
// (1607.06450), where CENTERED takes the mean off x[m] first.
//
// Purpose   before the projections of a prefill chunk, and wherever a GEMV does not norm on its way
// Bindings  0 x       rows padded with zeros to whole blocks
//           1 weight  f32, padded likewise; with BIAS as many elements behind it that are added
//           2 y       rows padded likewise; with ADD the result is added to what stands there
// Dispatch  (1, rows) workgroups

${enables}

override BLOCKS: u32;   // row length in blocks of 32
override K: u32;        // row length, unpadded
override EPS: f32;
override CENTERED: bool = false;
override BIAS: bool = false;
override ADD: bool = false;
override LANES: u32;    // THREADS
override THREADS: u32;  // a power of two

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

${lanes}

// The sum over a row, the same in every thread.
fn row_sum(mine: f32, thread: u32) -> f32 {
  return lane_sum(vec4(mine, 0.0, 0.0, 0.0), thread).x;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let row = group.y * BLOCKS * 8u;
  var mean = 0.0;
  if (CENTERED) {
    var sum = 0.0;
    for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
      sum += dot(x[row + i], vec4(1.0));
    }
    mean = row_sum(sum, thread) / f32(K);
  }
  var squares = 0.0;
  for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
    let inside = vec4(4u * i) + vec4(0u, 1u, 2u, 3u) < vec4(K);
    let v = select(vec4(0.0), x[row + i] - mean, inside);
    squares += dot(v, v);
  }
  let factor = inverseSqrt(row_sum(squares, thread) / f32(K) + EPS);
  for (var i = thread; i < BLOCKS * 8u; i += THREADS) {
    var v = (x[row + i] - mean) * factor * weight[i];
    if (BIAS) {
      v += weight[BLOCKS * 8u + i];
    }
    if (ADD) {
      v += y[row + i];
    }
    y[row + i] = v;
  }
}
