// Epilogue of a gated MLP (arXiv 2002.05202): rows 2i and 2i+1 of the weight are row i of the gate and
// of the up projection; y[m][i] = activated(gate) * up. Needs Y_STRIDE, the row length of y.

override Y_STRIDE: u32;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

${activation}

fn emit(m: u32, n: u32, v: vec2<f32>) {
  y[m * Y_STRIDE + n / 2u] = activated(v.x) * v.y;
}
