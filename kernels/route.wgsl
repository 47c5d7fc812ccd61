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
// Assumes   TOP at most 16 and EXPERTS; of equal scores the first counts as better

${enables}

override EXPERTS: u32;
override SCORES: u32;            // of a row, EXPERTS at least
override TOP: u32;
override NORMALIZED: bool;
override SHARED: bool = false;
override SCALE: f32 = 1.0;
override LANES: u32;             // THREADS
override THREADS: u32;           // a power of two, more than TOP

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> route: array<u32>;

${scoring}
${lanes}

const LAST = -1e38;  // what is no number ranks so, and is not chosen before what is

// What experts are ranked by, and behind them LAST.
var<workgroup> ranks: array<vec4<f32>, (EXPERTS + 3u) / 4u>;
var<workgroup> chosen: array<u32, 16>;

fn rank_of(row: u32, expert: u32) -> f32 {
  if (expert >= EXPERTS) {
    return LAST;
  }
  let found = rank(row, expert);
  return select(LAST, found, found > LAST);
}

// How many experts come before one.
fn place_of(expert: u32) -> u32 {
  let mine = ranks[expert / 4u][expert % 4u];
  var before = vec4<u32>();
  for (var quad = 0u; quad < (EXPERTS + 3u) / 4u; quad++) {
    let others = ranks[quad];
    let numbers = vec4(4u * quad) + vec4(0u, 1u, 2u, 3u);
    let is_better = (others > vec4(mine)) | ((others == vec4(mine)) & (numbers < vec4(expert)));
    before += select(vec4(0u), vec4(1u), is_better);
  }
  return before.x + before.y + before.z + before.w;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let row = group.y * SCORES;
  let first = group.y * (TOP + u32(SHARED));
  for (var quad = thread; quad < (EXPERTS + 3u) / 4u; quad += THREADS) {
    let expert = 4u * quad;
    ranks[quad] = vec4(rank_of(row, expert), rank_of(row, expert + 1u),
                       rank_of(row, expert + 2u), rank_of(row, expert + 3u));
  }
  workgroupBarrier();
  for (var expert = thread; expert < EXPERTS; expert += THREADS) {
    let place = place_of(expert);
    if (place < TOP) {
      chosen[place] = expert;
    }
  }
  workgroupBarrier();
  var mine = 0.0;
  if (thread < TOP) {
    mine = part(row, chosen[thread]);
  }
  var sum = 1.0;
  if (NORMALIZED) {
    sum = LEAST + total(mine, thread);
  } else if (ADDS_UP) {
    var some = 0.0;
    for (var expert = thread; expert < EXPERTS; expert += THREADS) {
      some += part(row, expert);
    }
    sum = total(some, thread);
  }
  let at = (first + thread) * 2u;
  if (thread < TOP) {
    route[at] = chosen[thread];
    route[at + 1u] = bitcast<u32>(SCALE * mine / sum);
  } else if (SHARED && thread == TOP) {
    route[at] = EXPERTS;
    route[at + 1u] = bitcast<u32>(1.0 / (1.0 + exp(-scores[row + EXPERTS])));
  }
}

fn total(mine: f32, thread: u32) -> f32 {
  return lane_sum(vec4(mine, 0.0, 0.0, 0.0), thread).x;
}
