// Draws one token from the scaled logits and hands it to the next step.
//
// Purpose   the second of a step's two sampling kernels; a single workgroup for each row
// Bindings  0 scaled, 2 winners   from sample_prepare.wgsl (WINNERS pairs a row)
//           1 settings            see sample/settings.wgsl
//           3 counts              the drawn token's count goes up by one
//           4 step                the row becomes the drawn token, at the next position, and counts it
//                                 (see epilogue/rope_append.wgsl)
//           5 ring                [RING][SLOTS] tokens, by how many were drawn before; NOTHING where the
//                                 logits are no numbers
//           6 candidates          scratch, [rows] VOCAB pairs: tokens that may be drawn, each behind
//                                 its key
//           7 mirostat            [slots] f32: mu, moved by each draw that mirostat cuts
// Dispatch  (rows) workgroups; rows past step's do nothing
//
// With VERIFY nothing changes but ring, which is [rows]: sample_accept.wgsl goes on from there. What
// mirostat cuts is not for it: mu is of the draw before.
//
// Top-k, then top-p over what it left, then min-p are all thresholds on the distance from the
// maximum; sample/shape.wgsl and sample/mirostat.wgsl cut in other ways. Top-k cannot reach past the k-th of the
// workgroups' winners; otherwise one pass over the vocabulary counts keys in 256 bins and finds the bin
// where the cut falls. Another pass gathers the tokens up to there. Among these, a few are ranked
// against each other, many are cut 8 bits of the key at a time.
// Among what is left, argmax(scaled + Gumbel noise) draws from the softmax exactly.
//
// Compilers put a function wherever it is called: what is needed twice is called once, in a loop. With 7
// scans in place of 14 lavapipe compiles this in 2.1 s, not 6.0.

${enables}

override VOCAB: u32;
override WINNERS: u32;
override RING: u32;
override SLOTS: u32;
override VERIFY: bool = false;
override STEP_ROWS: u32;
override THREADS: u32 = 256u;  // also the number of bins

@group(0) @binding(0) var<storage, read> scaled: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> winners: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read_write> step: array<u32>;
@group(0) @binding(5) var<storage, read_write> ring: array<u32>;
@group(0) @binding(6) var<storage, read_write> candidates: array<vec2<u32>>;
@group(0) @binding(7) var<storage, read_write> mirostat: array<f32>;

${settings}
${best}
${gumbel}
${sample/cuts}
${sample/shape}
${sample/mirostat}

const NOTHING = 0xfffffffeu;  // see runtime/sampling/sampler.py
const RANKED = 512u;          // most candidates that are ranked against each other
const RANKED_MASS = 4194304.0;  // 2^22: RANKED of them fit in 32 bits

var<workgroup> n_gathered: atomic<u32>;
var<workgroup> kept_mass: atomic<u32>;
var<workgroup> cut: atomic<u32>;
var<workgroup> ranked: array<vec2<u32>, RANKED>;  // key, mass

var<private> scaled_row: u32;   // where the row begins in scaled and winners
var<private> winners_row: u32;
var<private> counted: u32;      // the last key that top-k leaves of many candidates

// The last key of the bin, of the keys' top 8 bits, in which top-k (by count) or top-p (by mass) ends.
fn coarse_cut(thread: u32, most: f32, by_mass: bool, amount: f32) -> u32 {
  clear_bins(thread);
  for (var i = thread; i * 4u < VOCAB; i += THREADS) {
    let values = scaled[scaled_row + i];
    for (var j = 0u; j < min(4u, VOCAB - i * 4u); j++) {
      let key = key_of(values[j], most);
      add_to_bin(key >> 16u, select(1u, mass_steps(key), by_mass));
    }
  }
  scan_bins(thread, 0.0, select(NUMBER_STEP, MASS_STEP, by_mass));
  let bin = first_bin(thread, amount * select(1.0, running[THREADS - 1u], by_mass));
  return min(bin * 65536u + 65535u, LAST_KEY);
}

// The key of the top_k-th of the workgroups' winners, of which there are as many: each is another
// token, so top-k ends there or before.
fn winners_cut(thread: u32, most: f32, top_k: u32) -> u32 {
  atomicStore(&cut, 0u);
  workgroupBarrier();
  for (var i = thread; i < WINNERS; i += THREADS) {
    let key = key_of(bitcast<f32>(winners[winners_row + i].x), most);
    var ahead = 0u;
    for (var j = 0u; j < WINNERS; j++) {
      ahead += select(0u, 1u, key_of(bitcast<f32>(winners[winners_row + j].x), most) < key);
    }
    if (ahead < top_k) {
      atomicMax(&cut, key);
    }
  }
  workgroupBarrier();
  return uniform_word(thread, atomicLoad(&cut));
}

fn gather_from(i: u32, values: vec4<f32>, most: f32, last_key: u32) {
  for (var j = 0u; j < 4u; j++) {
    let token = i * 4u + j;
    let key = key_of(values[j], most);
    if (token < VOCAB && key <= last_key) {
      candidates[candidates_row + atomicAdd(&n_gathered, 1u)] = vec2(key, token);
    }
  }
}

// Gathers the tokens whose keys are at most `last_key`; returns how many.
fn gather(thread: u32, most: f32, last_key: u32) -> u32 {
  atomicStore(&n_gathered, 0u);
  workgroupBarrier();
  for (var i = thread; i * 4u < VOCAB; i += 4u * THREADS) {
    // Loads come before their uses, so that they wait together.
    let a = scaled[scaled_row + i];
    let b = scaled[scaled_row + i + THREADS];
    let c = scaled[scaled_row + i + 2u * THREADS];
    let d = scaled[scaled_row + i + 3u * THREADS];
    gather_from(i, a, most, last_key);
    gather_from(i + THREADS, b, most, last_key);
    gather_from(i + 2u * THREADS, c, most, last_key);
    gather_from(i + 3u * THREADS, d, most, last_key);
  }
  workgroupBarrier();
  storageBarrier();
  return uniform_word(thread, atomicLoad(&n_gathered));
}

// Cuts many candidates, or odd ones, and draws. `whole` is the probability that top-p is a share of,
// relative to the greatest; with top-k that is what it leaves. `own` is where the settings begin.
fn draw_of_many(thread: u32, n: u32, own: u32, top_k: u32, top_p: f32, whole: f32,
                position: u32) -> Best {
  let share = select(top_p * whole, -top_p, top_k < VOCAB);
  var limit = LAST_KEY;
  for (var i = 0u; i < 2u; i++) {
    let by_mass = i == 1u;
    if (select(top_k < VOCAB, top_p < 1.0, by_mass)) {
      let amount = select(f32(top_k), share, by_mass);
      limit = min(limit, threshold(thread, n, by_mass, amount, limit));
    }
    counted = select(limit, counted, by_mass);
  }
  limit = min(limit, min_p_key());
  var window = vec2(0u, limit);
  if ((settings[own + 9u] & 16u) != 0u) {
    window = shaped_window(thread, n, own, limit, position);
  }
  var drawn = Best(-3.4e38, VOCAB);
  for (var i = thread; i < n; i += THREADS) {
    let key = candidates[candidates_row + i].x;
    if (key >= window.x && key <= window.y) {
      drawn = better(drawn, noisy(candidates[candidates_row + i], position));
    }
  }
  return drawn;
}

// Ranks a few candidates against each other, and draws. A candidate stays if fewer than top_k are
// ahead of it, and if those ahead have not reached the top_p share of what top-k left.
fn draw_of_few(thread: u32, n: u32, top_k: u32, top_p: f32, whole: f32, position: u32) -> Best {
  atomicStore(&kept_mass, 0u);
  for (var i = thread; i < n; i += THREADS) {
    let key = candidates[candidates_row + i].x;
    ranked[i] = vec2(key, u32(mass_of(key) * RANKED_MASS));
  }
  workgroupBarrier();
  var ahead: array<vec2<u32>, 2>;  // of this thread's candidates: how many, and their mass
  for (var own = 0u; own < 2u; own++) {
    let i = thread + own * THREADS;
    if (i < n) {
      let mine = ranked[i];
      var sum = vec2(0u);
      for (var j = 0u; j < n; j++) {
        sum += select(vec2(0u), vec2(1u, ranked[j].y), ranked[j].x < mine.x);
      }
      ahead[own] = sum;
      if (sum.x < top_k) {
        atomicAdd(&kept_mass, mine.y);
      }
    }
  }
  workgroupBarrier();
  let share = top_p * select(whole * RANKED_MASS, f32(atomicLoad(&kept_mass)), top_k < VOCAB);
  let limit = min_p_key();
  var drawn = Best(-3.4e38, VOCAB);
  for (var own = 0u; own < 2u; own++) {
    let i = thread + own * THREADS;
    // The most likely one stays also where the share is 0.
    let within = ahead[own].x == 0u || (ahead[own].x < top_k && f32(ahead[own].y) < share);
    if (i < n && within && ranked[i].x <= limit) {
      drawn = better(drawn, noisy(candidates[candidates_row + i], position));
    }
  }
  return drawn;
}

fn noisy(candidate: vec2<u32>, position: u32) -> Best {
  let value = scaled[scaled_row + candidate.y / 4u][candidate.y % 4u];
  return Best(value + gumbel(candidate.y, position), candidate.y);
}

// The last key that min-p leaves.
fn min_p_key() -> u32 {
  let min_p = number(3u);
  return select(LAST_KEY, key_of_mass(min_p), min_p > 0.0);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.x;
  let row = STEP_ROWS + 4u * m;
  // Through uniform_word, so that compilers see that whole workgroups branch.
  if (m >= uniform_word(thread, step[0])) {
    return;
  }
  let own_slot = uniform_word(thread, step[row + 2u]);
  slot = own_slot;
  scaled_row = m * ((VOCAB + 3u) / 4u);
  winners_row = m * WINNERS;
  candidates_row = m * VOCAB;
  let position = step[row + 1u] + 1u;
  var best = Best(-3.4e38, VOCAB);
  for (var i = thread; i < WINNERS; i += THREADS) {
    best = better(best, Best(bitcast<f32>(winners[winners_row + i].x), winners[winners_row + i].y));
  }
  best = best_of_workgroup(best, thread);
  // Nobody may still read what thread 0 writes in the end.
  workgroupBarrier();

  let own = own_slot * SETTINGS;
  let flags = settings[own + 9u];
  let follows_surprise = (flags & 16u) != 0u && bitcast<f32>(settings[own + 14u]) > 0.0;
  if (bitcast<f32>(settings[own]) > 0.0 && (flags & 4u) == 0u) {
    let most = best.value;
    let top_p = bitcast<f32>(settings[own + 2u]);
    var top_k = select(settings[own + 1u], VOCAB, settings[own + 1u] == 0u);
    var mu = 0.0;
    var whole = 1e9;
    var last_key = min_p_key();
    let estimates = follows_surprise && (flags & 32u) != 0u;
    if (follows_surprise) {
      mu = mirostat[own_slot];
    }
    var n = 0u;
    for (var estimated = !estimates; ; estimated = true) {
      // What a pass over the vocabulary counts, and up to where.
      let by_mass = !estimates && (follows_surprise || top_k == VOCAB);
      let number = select(ESTIMATED, top_k, estimated);
      let amount = select(f32(number), select(top_p, 1.0, follows_surprise), by_mass);
      if (top_k <= WINNERS && !follows_surprise) {
        last_key = min(last_key, winners_cut(thread, most, top_k));
      } else if (!by_mass || follows_surprise || top_p < 1.0) {
        let coarse = coarse_cut(thread, most, by_mass, amount);
        let sum = running[THREADS - 1u];
        if (follows_surprise) {
          last_key = select(mirostat_key(mu, sum), coarse, estimates);
        } else {
          last_key = min(last_key, coarse);
          whole = select(whole, sum, by_mass);
        }
      }
      n = gather(thread, most, last_key);
      if (estimated) {
        break;
      }
      top_k = mirostat_count(thread, n, mu);
    }
    if (n <= RANKED && (flags & 16u) == 0u) {
      best = draw_of_few(thread, n, top_k, top_p, whole, position);
    } else {
      best = draw_of_many(thread, n, own, top_k, top_p, whole, position);
    }
    best = best_of_workgroup(best, thread);
    if (follows_surprise) {
      let mass = window_sum(thread, n, vec2(0u, select(LAST_KEY, counted, estimates)), false);
      if (thread == 0u && best.token < VOCAB) {
        let value = scaled[scaled_row + best.token / 4u][best.token % 4u];
        mirostat[own_slot] = mirostat_next(mu, own, key_of(value, most), mass);
      }
    }
  }

  if (thread == 0u) {
    // A model that produced only NaN has no winner (but for a token that its mask refuses, if there is
    // one): 0 keeps the next step within the table.
    let is_drawn = best.token < VOCAB;
    let token = select(0u, best.token, is_drawn);
    if (VERIFY) {
      ring[m] = token;
    } else {
      counts[of_slot(token)] += 1u;
      ring[step[row + 3u] % RING * SLOTS + slot] = select(NOTHING, token, is_drawn);
      step[row] = token;
      step[row + 1u] = position;
      step[row + 3u] += 1u;
    }
  }
}
