// Epilogue of a gated MLP (SwiGLU, arXiv 2002.05202): rows 2i and 2i+1 of the weight are row i of the
// gate and of the up projection; y[m][i] = silu(gate) * up. Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn emit(m: u32, n: u32, v: vec2<f32>) {
  y[m * Y_STRIDE + n / 2u] = v.x / (1.0 + exp(-v.x)) * v.y;
}
