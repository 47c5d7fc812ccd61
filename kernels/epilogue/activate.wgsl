// Epilogue of an MLP without a gate: y[m][n] = activated(v). Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

${activation}

fn emit(m: u32, n: u32, v: vec2<f32>) {
  y[m * Y_STRIDE + n] = activated(v.x);
  if (n + 1u < N) {
    y[m * Y_STRIDE + n + 1u] = activated(v.y);
  }
}
