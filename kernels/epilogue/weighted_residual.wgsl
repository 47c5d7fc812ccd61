// Epilogue: y[m][n] += RESIDUAL_SCALE * sigmoid of the last of scores[m] * v: what a shared expert says,
// as far as its gate lets it (arXiv 2401.06066). Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;
override SCORES: u32;         // of a row
override RESIDUAL_SCALE: f32 = 1.0;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read> scores: array<f32>;

fn emit(m: u32, n: u32, v: vec2<f32>) {
  let weight = RESIDUAL_SCALE / (1.0 + exp(-scores[m * SCORES + SCORES - 1u]));
  y[m * Y_STRIDE + n] += weight * v.x;
  if (n + 1u < N) {
    y[m * Y_STRIDE + n + 1u] += weight * v.y;
  }
}
