// Epilogue: y[m][n] += RESIDUAL_SCALE * v, the residual stream. Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;
override RESIDUAL_SCALE: f32 = 1.0;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn emit(m: u32, n: u32, v: vec2<f32>) {
  y[m * Y_STRIDE + n] += RESIDUAL_SCALE * v.x;
  if (n + 1u < N) {
    y[m * Y_STRIDE + n + 1u] += RESIDUAL_SCALE * v.y;
  }
}
