// What the convolution of a delta net sees of rows x (see delta/states.wgsl).

${states/past}

fn row_input(m: u32, c: u32) -> f32 {
  return x[m * x_stride() + c];
}
