// What every linear kernel adds to its sums: the bias of a row of the weight.

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
