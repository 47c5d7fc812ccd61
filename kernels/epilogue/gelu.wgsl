// Epilogue: y[m][n] = gelu(v), by the error function (arXiv 1606.08415). Needs Y_STRIDE, the row
// length of y.

override Y_STRIDE: u32;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// erf to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
fn error_function(v: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(v));
  let series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(v) * (1.0 - series * exp(-v * v));
}

fn gelu(v: f32) -> f32 {
  return 0.5 * v * (1.0 + error_function(v * 0.70710678));
}

fn emit(m: u32, n: u32, v: vec2<f32>) {
  y[m * Y_STRIDE + n] = gelu(v.x);
  if (n + 1u < N) {
    y[m * Y_STRIDE + n + 1u] = gelu(v.y);
  }
}
