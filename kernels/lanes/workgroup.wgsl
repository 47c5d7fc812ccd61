// lane_sum and lane_max over each run of LANES consecutive threads, through workgroup memory.
// Needs: LANES (a power of two) and THREADS (the workgroup's size, a multiple of LANES).
// Every thread must call them; every thread of the run gets the result.

var<workgroup> lane_scratch: array<vec4<f32>, THREADS>;

fn lane_sum(value: vec4<f32>, thread: u32) -> vec4<f32> {
  lane_scratch[thread] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (thread % LANES < half) {
      lane_scratch[thread] += lane_scratch[thread + half];
    }
    workgroupBarrier();
  }
  let total = lane_scratch[thread - thread % LANES];
  workgroupBarrier();  // the scratch may be used again at once
  return total;
}

fn lane_max(value: vec4<f32>, thread: u32) -> vec4<f32> {
  lane_scratch[thread] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (thread % LANES < half) {
      lane_scratch[thread] = max(lane_scratch[thread], lane_scratch[thread + half]);
    }
    workgroupBarrier();
  }
  let most = lane_scratch[thread - thread % LANES];
  workgroupBarrier();
  return most;
}
