// Epilogue of gpt-oss's gated MLPs, rows as in epilogue/glu.wgsl, gate and up clamped to LIMIT:
// y[m][i] = gate * sigmoid(1.702 * gate) * (up + 1). Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;
override LIMIT: f32;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn emit(m: u32, n: u32, v: vec2<f32>) {
  let gate = min(v.x, LIMIT);
  let up = clamp(v.y, -LIMIT, LIMIT);
  y[m * Y_STRIDE + n / 2u] = gate / (1.0 + exp(-1.702 * gate)) * (up + 1.0);
}
