// Which experts a row goes to, and how much each counts (arXiv 1701.06538): the TOP best of EXPERTS, with
// what route/softmax.wgsl or route/sigmoid.wgsl makes of their scores, scaled to add up to 1 (NORMALIZED)
// or not, times SCALE. With SHARED every row goes to one expert more, behind the others, as far as the
// sigmoid of its own score lets it (arXiv 2401.06066).
//
// Purpose   mixtures of experts
// Bindings  0 scores  [rows][SCORES], f32: the experts' first, then that of a shared one
//           1 route   [rows][TOP], with SHARED [rows][TOP + 1]: an expert's number, and the bits of its
//                     f32 weight
//           and what the snippet binds
// Dispatch  (1, rows) workgroups
// Assumes   TOP at most 16; of equal scores the first counts as better

${enables}

override EXPERTS: u32;
override SCORES: u32;            // of a row, EXPERTS at least
override TOP: u32;
override NORMALIZED: bool;
override SHARED: bool = false;
override SCALE: f32 = 1.0;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> route: array<u32>;

const THREADS = 64u;

// The best score of what each thread has seen and not yet lost to the route, and its number.
var<workgroup> best: array<f32, THREADS>;
var<workgroup> owner: array<u32, THREADS>;
var<workgroup> chosen: array<u32, 16>;
var<workgroup> sums: array<f32, THREADS>;

${scoring}

fn is_chosen(expert: u32, count: u32) -> bool {
  for (var i = 0u; i < count; i++) {
    if (chosen[i] == expert) {
      return true;
    }
  }
  return false;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let row = group.y * SCORES;
  let first = group.y * (TOP + u32(SHARED));
  for (var i = 0u; i < TOP; i++) {
    var most = -1e38;
    var number = 0u;
    for (var expert = thread; expert < EXPERTS; expert += THREADS) {
      let score = rank(row, expert);
      if (score > most && !is_chosen(expert, i)) {
        most = score;
        number = expert;
      }
    }
    best[thread] = most;
    owner[thread] = number;
    workgroupBarrier();
    if (thread == 0u) {
      for (var other = 1u; other < THREADS; other++) {
        if (best[other] > most || (best[other] == most && owner[other] < number)) {
          most = best[other];
          number = owner[other];
        }
      }
      chosen[i] = number;
    }
    workgroupBarrier();
  }
  var sum = 0.0;
  if (!NORMALIZED && ADDS_UP) {
    for (var expert = thread; expert < EXPERTS; expert += THREADS) {
      sum += part(row, expert);
    }
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread == 0u) {
    for (var other = 1u; other < THREADS; other++) {
      sum += sums[other];
    }
    if (NORMALIZED) {
      sum += LEAST;
      for (var i = 0u; i < TOP; i++) {
        sum += part(row, chosen[i]);
      }
    } else if (!ADDS_UP) {
      sum = 1.0;
    }
    for (var i = 0u; i < TOP; i++) {
      let at = (first + i) * 2u;
      route[at] = chosen[i];
      route[at + 1u] = bitcast<u32>(SCALE * part(row, chosen[i]) / sum);
    }
    if (SHARED) {
      let at = (first + TOP) * 2u;
      route[at] = EXPERTS;
      route[at + 1u] = bitcast<u32>(1.0 / (1.0 + exp(-scores[row + EXPERTS])));
    }
  }
}
