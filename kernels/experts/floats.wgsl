// A thread's part of the product of a row of x and a quad of an expert's rows, as it is.
//
// All of these snippets:
// product(x_row, expert, quad, thread)   with the bias; every thread of the workgroup has to call it, for
//                                        the same row and expert

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

fn product(x_row: u32, expert: u32, quad: u32, thread: u32) -> vec4<f32> {
  let lane = thread % LANES;
  let w = (first_row(expert) / 4u + quad) * UNITS;
  var sum = vec4<f32>();
  for (var u = lane; u < UNITS; u += LANES) {
    let at = (x_row * UNITS + u) * 2u;
    sum += dot_unit(w + u, x[at], x[at + 1u]);
  }
  return with_bias(sum, expert, quad, lane);
}
