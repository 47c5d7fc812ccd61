// The end of a gated delta net (arXiv 2412.06464): RMSNorm of each head's result, times its activated
// gates; and a sequence's last rows of channels go to its state, for the next convolution.
//
// Bindings  0 x       [rows], see delta/states.wgsl
//           1 weight  f32: V_DIM elements, the same for each head
//           2 step    see delta/states.wgsl
//           3 states  f32, see there
//           4 q       [rows][V_HEADS * V_DIM], f32: the heads' results
//           5 y       [rows][Y_STRIDE], f32
// Dispatch  (V_HEADS, rows) workgroups
// Assumes   rows of a sequence follow each other

${enables}

override EPS: f32;
override Y_STRIDE: u32;
override LANES: u32;    // THREADS
override THREADS: u32;  // a power of two

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> states: array<f32>;
@group(0) @binding(4) var<storage, read> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

${states}
${delta/past}
${states/keep}
${activation}
${lanes}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.y;
  if (m >= step[0]) {
    return;
  }
  let first = group.x * V_DIM;
  var squares = 0.0;
  for (var i = thread; i < V_DIM; i += THREADS) {
    let v = q[m * V_HEADS * V_DIM + first + i];
    squares += v * v;
  }
  let total = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
  let factor = inverseSqrt(total / f32(V_DIM) + EPS);
  for (var i = thread; i < V_DIM; i += THREADS) {
    let gate = activated(x[m * x_stride() + channels() + first + i]);
    y[m * Y_STRIDE + first + i] = q[m * V_HEADS * V_DIM + first + i] * factor * weight[i] * gate;
  }
  if (m + 1u == step[0] || slot_of(m + 1u) != slot_of(m)) {
    for (var c = group.x * THREADS + thread; c < channels(); c += V_HEADS * THREADS) {
      keep(m, c);
    }
  }
}
