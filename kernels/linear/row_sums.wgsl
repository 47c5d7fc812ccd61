// What LANES threads have of each of a few rows and GROUPS quads, added up through workgroup memory.
// To be included behind all overrides: naga takes none behind an array whose size is computed from others.
// What includes it has fold_beside(row, quad, lane), which does with others of its sums what fold_lanes
// does with these.

const FOLDED = 8u;  // lanes that a thread adds up at a time: with up to 8 rows there are threads for all

var<workgroup> sums: array<vec4<f32>, ROWS * THREADS>;

// Where in sums a lane's is of a row and quad. Those that neighbours read at a time are in other banks.
fn lane_at(row: u32, quad: u32, lane: u32) -> u32 {
  return row * THREADS + quad * LANES + (lane + row * GROUPS + quad) % LANES;
}

// Behind a barrier. What is left is every FOLDED-th lane's.
fn fold_lanes(thread: u32) {
  if (LANES > FOLDED) {
    for (var i = thread; i < ROWS * GROUPS * LANES / FOLDED; i += THREADS) {
      let quad = i % GROUPS;
      let row = i / GROUPS % ROWS;
      let lane = i / (GROUPS * ROWS) * FOLDED;
      sums[lane_at(row, quad, lane)] = lanes_sum(row, quad, lane, lane + FOLDED, 1u);
      fold_beside(row, quad, lane);
    }
    workgroupBarrier();
  }
}

fn row_sum(row: u32, quad: u32) -> vec4<f32> {
  return lanes_sum(row, quad, 0u, LANES, lanes_each());
}

// How many lanes each that is left stands for.
fn lanes_each() -> u32 {
  return select(1u, FOLDED, LANES > FOLDED);
}

fn lanes_sum(row: u32, quad: u32, first: u32, end: u32, step: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  for (var lane = first; lane < end; lane += step) {
    sum += sums[lane_at(row, quad, lane)];
  }
  return sum;
}
