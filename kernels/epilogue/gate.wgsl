// Epilogue of a gated MLP (SwiGLU, arXiv 2002.05202) whose gate stands in y: y[m][n] = silu(y[m][n]) * v.
// Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn gated(at: u32, up: f32) {
  let gate = y[at];
  y[at] = gate / (1.0 + exp(-gate)) * up;
}

fn emit(m: u32, n: u32, v: vec2<f32>) {
  gated(m * Y_STRIDE + n, v.x);
  if (n + 1u < N) {
    gated(m * Y_STRIDE + n + 1u, v.y);
  }
}
