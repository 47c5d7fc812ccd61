// lane_sum and lane_max over each run of LANES consecutive threads, with subgroup shuffles.
// Needs: LANES (a power of two) and THREADS (the workgroup's size, a multiple of LANES).
// Every thread must call them; every thread of the run gets the result.
// SUBGROUP is the least subgroup size of the adapter: a shuffle by less than it stays inside a
// subgroup whatever size the driver picks. Runs longer than that finish in workgroup memory.

override SUBGROUP: u32;

var<workgroup> lane_scratch: array<vec4<f32>, THREADS>;

fn lane_sum(value: vec4<f32>, thread: u32) -> vec4<f32> {
  var total = value;
  for (var mask = min(LANES, SUBGROUP) / 2u; mask > 0u; mask /= 2u) {
    total += subgroupShuffleXor(total, mask);
  }
  if (LANES > SUBGROUP) {
    lane_scratch[thread] = total;
    workgroupBarrier();
    let first = thread - thread % LANES;
    total = lane_scratch[first];
    for (var other = SUBGROUP; other < LANES; other += SUBGROUP) {
      total += lane_scratch[first + other];
    }
    workgroupBarrier();  // the scratch may be used again at once
  }
  return total;
}

fn lane_max(value: vec4<f32>, thread: u32) -> vec4<f32> {
  var most = value;
  for (var mask = min(LANES, SUBGROUP) / 2u; mask > 0u; mask /= 2u) {
    most = max(most, subgroupShuffleXor(most, mask));
  }
  if (LANES > SUBGROUP) {
    lane_scratch[thread] = most;
    workgroupBarrier();
    let first = thread - thread % LANES;
    most = lane_scratch[first];
    for (var other = SUBGROUP; other < LANES; other += SUBGROUP) {
      most = max(most, lane_scratch[first + other]);
    }
    workgroupBarrier();
  }
  return most;
}
