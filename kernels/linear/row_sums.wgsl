// What LANES threads have of each of a few rows and GROUPS quads, added up through workgroup memory.
// To be included behind all overrides: naga takes none behind an array whose size is computed from others.

var<workgroup> sums: array<vec4<f32>, ROWS * THREADS>;   // [row][thread]

// Where in sums a lane is of a row and quad. Neighbours, which have other quads, read other banks.
fn lane_at(row: u32, quad: u32, lane: u32) -> u32 {
  return row * THREADS + quad * LANES + (lane + quad) % LANES;
}

fn row_sum(row: u32, quad: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  for (var lane = 0u; lane < LANES; lane++) {
    sum += sums[lane_at(row, quad, lane)];
  }
  return sum;
}
