// The sum of exponentials and the greatest logits of a part of the vocabulary.
//
// Purpose   the first of two kernels that find log-probabilities; all of the GPU works on it
// Bindings  0 logits  f32, [rows][VOCAB], as the model gave them; with SHARED one row for all
//           1 step    see epilogue/rope_append.wgsl
//           2 parts   out, [rows][workgroups][2 + 2 TOP]: the greatest logit, the sum of
//                     exp(logit - greatest), then the TOP greatest logits, each with its token; VOCAB
//                     where there are fewer
// Dispatch  (ceil(VOCAB / (THREADS * ITEMS)), rows) workgroups; rows past step's do nothing
//
// Each round finds the greatest of what is behind the last round's; TOP, at least 1, is small.

${enables}

override VOCAB: u32;
override TOP: u32;
override ITEMS: u32;     // tokens a thread
override THREADS: u32;   // a power of two
override STEP_ROWS: u32;
override SHARED: bool = false;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> parts: array<u32>;

${sample/best}

var<workgroup> sums: array<f32, THREADS>;

fn sum_of_workgroup(mine: f32, thread: u32) -> f32 {
  sums[thread] = mine;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      sums[thread] += sums[thread + half];
    }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let m = group.y;
  if (m >= step[0]) {
    return;  // rows past the last one
  }
  let row = select(m, 0u, SHARED) * VOCAB;
  let part = (m * groups.x + group.x) * (2u + 2u * TOP);
  var last = Best(3.4e38, 0u);
  var greatest = 0.0;
  for (var round = 0u; round < TOP; round++) {
    var best = Best(-3.4e38, VOCAB);
    for (var i = 0u; i < ITEMS; i++) {
      let token = (group.x * ITEMS + i) * THREADS + thread;
      if (token < VOCAB) {
        let value = logits[row + token];
        if (value < last.value || (value == last.value && token > last.token)) {
          best = better(best, Best(value, token));
        }
      }
    }
    last = best_of_workgroup(best, thread);
    if (round == 0u) {
      greatest = last.value;
    }
    if (thread == 0u) {
      parts[part + 2u + 2u * round] = bitcast<u32>(last.value);
      parts[part + 3u + 2u * round] = last.token;
    }
  }
  var sum = 0.0;
  for (var i = 0u; i < ITEMS; i++) {
    let token = (group.x * ITEMS + i) * THREADS + thread;
    if (token < VOCAB) {
      sum += exp(logits[row + token] - greatest);
    }
  }
  sum = sum_of_workgroup(sum, thread);
  if (thread == 0u) {
    parts[part] = bitcast<u32>(greatest);
    parts[part + 1u] = bitcast<u32>(sum);
  }
}
