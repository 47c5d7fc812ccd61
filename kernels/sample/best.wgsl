// The greatest value and its token, the lowest token of equals. Needs THREADS, a power of two.

struct Best {
  value: f32,
  token: u32,
}

var<workgroup> best_scratch: array<Best, THREADS>;

fn better(a: Best, b: Best) -> Best {
  if (b.value > a.value || (b.value == a.value && b.token < a.token)) {
    return b;
  }
  return a;
}

fn best_of_workgroup(mine: Best, thread: u32) -> Best {
  best_scratch[thread] = mine;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      best_scratch[thread] = better(best_scratch[thread], best_scratch[thread + half]);
    }
    workgroupBarrier();
  }
  let winner = best_scratch[0];
  workgroupBarrier();  // the scratch may be used again at once
  return winner;
}
