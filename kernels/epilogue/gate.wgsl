// Epilogue of a gated MLP (arXiv 2002.05202) whose gate stands in y: y[m][n] = activated(y[m][n]) * v.
// Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

${activation}

fn emit(m: u32, n: u32, v: vec2<f32>) {
  let at = m * Y_STRIDE + n;
  y[at] = activated(y[at]) * v.x;
  if (n + 1u < N) {
    y[at + 1u] = activated(y[at + 1u]) * v.y;
  }
}
