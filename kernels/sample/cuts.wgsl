// Where a list of candidates is cut: keys, sums in bins, the least key that reaches an amount.
//
// A key is a token's distance from the maximum in steps of 2e-6, 24 bits; what lies 32 or further away
// has no weight that a float32 could tell from 0. Probabilities are added up as integers, so the order
// of the atomic additions does not matter and a seed gives the same token each time.
// Needs THREADS, which is also the number of bins, and candidates.

const LAST_KEY = 16777215u;
const KEY_STEPS = 524288.0;  // 2^19 steps a unit of distance
const MASS_STEP = 0x1p-31;   // of a probability in a bin
const NUMBER_STEP = 1.0;

var<workgroup> bin_low: array<atomic<u32>, THREADS>;
var<workgroup> bin_high: array<atomic<u32>, THREADS>;
var<workgroup> running: array<f32, THREADS>;
var<workgroup> chosen_bin: atomic<u32>;
var<workgroup> told: u32;

var<private> candidates_row: u32;  // where the row begins in candidates
var<private> centre: u32;          // the key that `threshold` counts from, either way

fn key_of(value: f32, most: f32) -> u32 {
  let key = u32(clamp((most - value) * KEY_STEPS, 0.0, 16777215.0));
  return select(LAST_KEY, key, value <= most);  // NaN is not
}

// The probability of a key relative to the greatest, 0 to 1.
fn mass_of(key: u32) -> f32 {
  return exp(f32(key) / -KEY_STEPS);
}

// The last key whose probability relative to the greatest is at least this.
fn key_of_mass(mass: f32) -> u32 {
  return u32(clamp(-log(mass) * KEY_STEPS, 0.0, 16777215.0));
}

fn mass_steps(key: u32) -> u32 {
  return u32(mass_of(key) / MASS_STEP);
}

// Adds to a bin's 64-bit sum.
fn add_to_bin(bin: u32, amount: u32) {
  let before = atomicAdd(&bin_low[bin], amount);
  if (before + amount < before) {
    atomicAdd(&bin_high[bin], 1u);
  }
}

// What thread 0 says, told to all. (Not every compiler has workgroupUniformLoad of an atomic.)
fn uniform_word(thread: u32, word: u32) -> u32 {
  if (thread == 0u) {
    told = word;
  }
  return workgroupUniformLoad(&told);
}

fn clear_bins(thread: u32) {
  atomicStore(&bin_low[thread], 0u);
  atomicStore(&bin_high[thread], 0u);
  atomicStore(&chosen_bin, THREADS);
  workgroupBarrier();
}

// Running sums of the bins, from `before` on, into `running`; `step` is what 1 in a bin is worth.
fn scan_bins(thread: u32, before: f32, step: f32) {
  workgroupBarrier();
  let sum = f32(atomicLoad(&bin_low[thread])) + f32(atomicLoad(&bin_high[thread])) * 0x1p32;
  running[thread] = sum * step + select(0.0, before, thread == 0u);
  workgroupBarrier();
  for (var offset = 1u; offset < THREADS; offset *= 2u) {
    var total = running[thread];
    if (thread >= offset) {
      total += running[thread - offset];
    }
    workgroupBarrier();
    running[thread] = total;
    workgroupBarrier();
  }
}

// The first bin at which the running sum reaches an amount; THREADS if none does.
fn first_bin(thread: u32, amount: f32) -> u32 {
  if (running[thread] >= amount) {
    atomicMin(&chosen_bin, thread);
  }
  workgroupBarrier();
  return uniform_word(thread, atomicLoad(&chosen_bin));
}

fn from_centre(key: u32) -> u32 {
  return max(key, centre) - min(key, centre);
}

// The least distance from `centre`, which is 0 unless somebody set it, such that the candidates up to
// there, none with a key past `limit`, reach an amount: their number, or (by_mass) their probability;
// a negative amount is a fraction of what they all have. LAST_KEY if all do not.
fn threshold(thread: u32, n: u32, by_mass: bool, amount: f32, limit: u32) -> u32 {
  var needed = amount;
  var before = 0.0;
  var prefix = 0u;
  for (var shift = 16u; ; shift -= 8u) {
    clear_bins(thread);
    for (var i = thread; i < n; i += THREADS) {
      let key = candidates[candidates_row + i].x;
      let distance = from_centre(key);
      if (key <= limit && (distance >> shift) / 256u == prefix) {
        add_to_bin((distance >> shift) % 256u, select(1u, mass_steps(key), by_mass));
      }
    }
    scan_bins(thread, before, select(NUMBER_STEP, MASS_STEP, by_mass));
    if (needed < 0.0) {
      needed *= -running[THREADS - 1u];
    }
    let bin = first_bin(thread, needed);
    if (bin == THREADS) {
      return LAST_KEY;
    }
    before = select(before, running[max(bin, 1u) - 1u], bin > 0u);
    prefix = prefix * 256u + bin;
    workgroupBarrier();
    if (shift == 0u) {
      break;
    }
  }
  return prefix;
}
