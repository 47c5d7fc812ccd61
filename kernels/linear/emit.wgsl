// What a linear kernel does with its sums: bias, and the epilogue for the pairs of a quad of rows.

override N: u32;              // output rows of the whole (virtual) matrix
override ROW0: u32 = 0u;      // the first output row that this buffer holds, even
override SLICE: u32;          // how many rows it holds
override BIAS: bool = false;
override BIAS_AT: u32 = 0u;   // where the bias starts within vectors, in vec4

@group(0) @binding(3) var<storage, read> vectors: array<vec4<f32>>;

fn biased(row: u32, sum: f32) -> f32 {
  if (BIAS) {
    return sum + vectors[BIAS_AT + row / 4u][row % 4u];
  }
  return sum;
}

// Rows n .. n + 3 of the slice, those that it has, for row m of x.
fn emit_quad(m: u32, n: u32, v: vec4<f32>) {
  let row = ROW0 + n;
  if (n < SLICE) {
    emit(m, row, vec2(biased(row, v.x), biased(min(row + 1u, N - 1u), v.y)));
  }
  if (n + 2u < SLICE) {
    emit(m, row + 2u, vec2(biased(row + 2u, v.z), biased(min(row + 3u, N - 1u), v.w)));
  }
}
