// Draws one token from the scaled logits and hands it to the next step.
//
// Purpose   the second of a step's two sampling kernels; a single workgroup
// Bindings  0 scaled, 2 winners   from sample_prepare.wgsl (WINNERS pairs)
//           1 settings            see sample_prepare.wgsl
//           3 counts              the drawn token's count goes up by one
//           4 step                becomes one row: the token, at the next position (see epilogue/rope_append.wgsl);
//                                 word 1 counts the tokens drawn
//           5 ring                drawn tokens, RING of them
// Dispatch  one workgroup
//
// Top-k, then top-p over what it left, then min-p are all thresholds on the distance d from the
// maximum. Distances below 32 become 24-bit integers (steps of 2e-6; what lies further has no weight
// that a float32 could tell from 0) and the threshold is found 8 bits at a time, by histograms of
// counts or of probability. Probabilities are added up as 64-bit integers, so the order of the
// atomic additions does not matter and a seed gives the same token each time.
// Among what is left, argmax(scaled + Gumbel noise) draws from the softmax exactly.

${enables}

override VOCAB: u32;
override WINNERS: u32;
override RING: u32;
override STEP_ROWS: u32;
override THREADS: u32 = 256u;  // also the number of histogram bins

@group(0) @binding(0) var<storage, read> scaled: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<u32>;
@group(0) @binding(2) var<storage, read> winners: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read_write> step: array<u32>;
@group(0) @binding(5) var<storage, read_write> ring: array<u32>;

${best}

const LAST_KEY = 16777215u;
const KEY_STEPS = 524288.0;  // 2^19 steps a unit of distance

var<workgroup> bin_low: array<atomic<u32>, THREADS>;
var<workgroup> bin_high: array<atomic<u32>, THREADS>;
var<workgroup> running: array<f32, THREADS>;
var<workgroup> chosen_bin: atomic<u32>;
var<workgroup> draw_position: u32;

fn setting(i: u32) -> f32 {
  return bitcast<f32>(settings[i]);
}

fn key_of(value: f32, most: f32) -> u32 {
  return u32(clamp((most - value) * KEY_STEPS, 0.0, 16777215.0));
}

// Adds a probability (relative to the greatest, 0 to 1) to a bin's 64-bit sum.
fn add_mass(bin: u32, p: f32) {
  let amount = u32(p * 2147483648.0);
  let before = atomicAdd(&bin_low[bin], amount);
  if (before + amount < before) {
    atomicAdd(&bin_high[bin], 1u);
  }
}

fn inclusive_scan(value: f32, thread: u32) -> f32 {
  running[thread] = value;
  workgroupBarrier();
  for (var offset = 1u; offset < THREADS; offset *= 2u) {
    var sum = running[thread];
    if (thread >= offset) {
      sum += running[thread - offset];
    }
    workgroupBarrier();
    running[thread] = sum;
    workgroupBarrier();
  }
  return running[thread];
}

// The least key such that the tokens up to it, none past `limit`, reach a share of the whole:
// `amount` tokens, or (with BY_MASS) that fraction of the probability. `limit` if all do not.
fn threshold(by_mass: bool, amount: f32, limit: u32, most: f32, thread: u32) -> u32 {
  var target_amount = amount;
  var before = 0.0;
  var prefix = 0u;
  for (var shift = 16u; ; shift -= 8u) {
    atomicStore(&bin_low[thread], 0u);
    atomicStore(&bin_high[thread], 0u);
    atomicStore(&chosen_bin, THREADS);
    workgroupBarrier();
    for (var token = thread; token < VOCAB; token += THREADS) {
      let key = key_of(scaled[token], most);
      if (key <= limit && (key >> shift) / 256u == prefix) {
        let bin = (key >> shift) % 256u;
        if (by_mass) {
          add_mass(bin, exp(scaled[token] - most));
        } else {
          atomicAdd(&bin_low[bin], 1u);
        }
      }
    }
    workgroupBarrier();
    var sum = f32(atomicLoad(&bin_low[thread]));
    if (by_mass) {
      sum = sum / 2147483648.0 + f32(atomicLoad(&bin_high[thread])) * 2.0;
    }
    let total = before + inclusive_scan(sum, thread);
    if (by_mass && shift == 16u) {
      target_amount = amount * running[THREADS - 1u];
    }
    if (total >= target_amount) {
      atomicMin(&chosen_bin, thread);
    }
    workgroupBarrier();
    let bin = workgroup_uniform_bin();
    if (bin == THREADS) {
      return limit;
    }
    before += select(0.0, running[max(bin, 1u) - 1u], bin > 0u);
    prefix = prefix * 256u + bin;
    workgroupBarrier();
    if (shift == 0u) {
      break;
    }
  }
  return min(prefix, limit);
}

fn workgroup_uniform_bin() -> u32 {
  return workgroupUniformLoad(&chosen_bin);
}

// A hash of four words (PCG4D; Jarzynski and Olano, JCGT 9(3), 2020).
fn pcg4d(words: vec4<u32>) -> vec4<u32> {
  var v = words * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v ^= v >> vec4(16u);
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}

// Standard Gumbel noise: minus the logarithm of an exponential variate. Small exponentials, which
// win draws, come from a series: log(1 - t) near 1 is too coarse in float32.
fn gumbel(token: u32, position: u32) -> f32 {
  let bits = pcg4d(vec4(token, position, settings[4], settings[5]));
  let t = min(f32(bits.x >> 8u) * 0x1p-24 + f32(bits.y >> 8u) * 0x1p-48 + 0x1p-49, 0.9999999);
  let series = t * (1.0 + t * (0.5 + t * (0.33333333 + t * 0.25)));
  return -log(select(-log(1.0 - t), series, t < 0.01));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  var best = Best(-3.4e38, VOCAB);
  for (var i = thread; i < WINNERS; i += THREADS) {
    best = better(best, Best(bitcast<f32>(winners[i].x), winners[i].y));
  }
  best = best_of_workgroup(best, thread);
  let row = STEP_ROWS + 4u * (step[0] - 1u);
  if (thread == 0u) {
    draw_position = step[row + 1u] + 1u;
  }
  workgroupBarrier();

  if (setting(0u) > 0.0) {
    let most = best.value;
    var limit = LAST_KEY;
    if (settings[1] > 0u && settings[1] < VOCAB) {
      limit = threshold(false, f32(settings[1]), limit, most, thread);
    }
    if (setting(2u) < 1.0) {
      limit = threshold(true, setting(2u), limit, most, thread);
    }
    if (setting(3u) > 0.0) {
      limit = min(limit, u32(clamp(-log(setting(3u)) * KEY_STEPS, 0.0, 16777215.0)));
    }
    let position = draw_position;
    var drawn = Best(-3.4e38, VOCAB);
    for (var token = thread; token < VOCAB; token += THREADS) {
      let value = scaled[token];
      if (key_of(value, most) <= limit) {
        drawn = better(drawn, Best(value + gumbel(token, position), token));
      }
    }
    best = best_of_workgroup(drawn, thread);
  }

  if (thread == 0u) {
    // A model that produced only NaN has no winner: 0 keeps the next step within the table.
    let token = select(0u, best.token, best.token < VOCAB);
    let slot = step[row + 2u];
    counts[token] += 1u;
    ring[step[1] % RING] = token;
    step[0] = 1u;
    step[1] += 1u;
    step[STEP_ROWS] = token;
    step[STEP_ROWS + 1u] = draw_position;
    step[STEP_ROWS + 2u] = slot;
  }
}
