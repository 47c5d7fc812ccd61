// Mirostat (arXiv 2007.14966): a cut that moves, so that the surprise (bits) of what is drawn is near tau.
//
// version 2  tokens of more surprise than mu go
// version 1  top-k, of the k at which a Zipf distribution would have the surprise mu; its exponent is
//            estimated from the ESTIMATED most likely tokens (algorithm 1 of the paper, k as llama.cpp
//            has it)
// Behind each draw mu moves against the surprise of its token, by eta of its difference from tau.
// Needs cuts.wgsl, n_gathered, ranked and RANKED, THREADS of at least half as many, and mirostat: mu of
// each slot.

const ESTIMATED = 100u;
const LN_2 = 0.69314718;

// The last key that mirostat leaves; `whole` is the probability of all tokens relative to the greatest.
fn mirostat_key(mu: f32, whole: f32) -> u32 {
  return u32(clamp((mu * LN_2 - log(whole)) * KEY_STEPS, 0.0, 16777215.0));
}

// mu after a token with this key, of candidates that have this probability.
fn mirostat_next(mu: f32, own: u32, key: u32, mass: f32) -> f32 {
  let surprise = (f32(key) / KEY_STEPS + log(mass)) / LN_2;
  let tau = bitcast<f32>(settings[own + 14u]);
  return mu - bitcast<f32>(settings[own + 15u]) * (surprise - tau);
}

// What the logarithm of the rank goes up by from this token to the next; ranks begin with 0.
fn rank_step(rank: u32) -> f32 {
  return log((f32(rank) + 2.0) / (f32(rank) + 1.0));
}

// How many tokens version 1 leaves; the `near` candidates have the ESTIMATED most likely among them. The
// exponent is the least-squares slope of log probability over log rank: sums over neighbours of (step of
// log rank) * (step of log p), and of the former squared. The first is a sum over tokens, each by its
// rank, as steps of log p are differences of keys.
fn mirostat_count(thread: u32, near: u32, mu: f32) -> u32 {
  let last = threshold(thread, near, false, f32(ESTIMATED), LAST_KEY);
  atomicStore(&n_gathered, 0u);
  workgroupBarrier();
  for (var i = thread; i < near; i += THREADS) {
    let candidate = candidates[candidates_row + i];
    if (candidate.x <= last) {
      let at = atomicAdd(&n_gathered, 1u);
      if (at < RANKED) {
        ranked[at] = candidate;
      }
    }
  }
  workgroupBarrier();
  let n = min(uniform_word(thread, atomicLoad(&n_gathered)), RANKED);
  let end = min(n, ESTIMATED);
  var sum = 0.0;
  for (var i = thread; i < n; i += THREADS) {
    let mine = ranked[i];
    var rank = 0u;
    for (var j = 0u; j < n; j++) {
      let other = ranked[j];
      rank += select(0u, 1u, other.x < mine.x || (other.x == mine.x && other.y < mine.y));
    }
    let before = select(0.0, rank_step(max(rank, 1u) - 1u), rank > 0u);
    let behind = select(0.0, rank_step(rank), rank + 1u < end);
    sum += select(0.0, f32(mine.x) / KEY_STEPS * (before - behind), rank < end);
  }
  running[thread] = sum;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      running[thread] += running[thread + half];
    }
    workgroupBarrier();
  }
  var squares = 0.0;
  for (var rank = 0u; rank + 1u < end; rank++) {
    squares += rank_step(rank) * rank_step(rank);
  }
  let exponent = max(running[0] / max(squares, 1e-9), 1e-3);
  let over = exponent - 1.0;
  let tail = (1.0 - exp(-over * log(f32(VOCAB)))) / over;
  let log_tail = log(select(tail, log(f32(VOCAB)), abs(over) < 1e-3));
  let log_k = (mu * LN_2 - log_tail) / exponent;
  workgroupBarrier();  // running is used again
  return uniform_word(thread, u32(clamp(exp(min(log_k, 30.0)), 1.0, f32(VOCAB))));
}
