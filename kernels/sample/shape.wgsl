// Cuts that are no list's head: typical_p, XTC. Each leaves keys from one to another.
//
// typical_p  locally typical sampling (arXiv 2202.00666): of what is left, the tokens whose surprise is
//            nearest to the entropy, until they have that probability. Surprise less entropy is a key
//            less the mean key.
// xtc        exclude top choices (llama.cpp, text-generation-webui): with a probability, all tokens at
//            or above the threshold go, but for the least likely of them.
// Needs cuts.wgsl and gumbel.wgsl.

const MEAN_STEP = 0x1p-13;  // of a key times its probability in a bin: at most 0x1p19 / e

var<workgroup> edge: atomic<u32>;
var<workgroup> n_above: atomic<u32>;

// The probability of the candidates within a window of keys, or the sum of their keys by it.
fn window_sum(thread: u32, n: u32, window: vec2<u32>, of_keys: bool) -> f32 {
  clear_bins(thread);
  for (var i = thread; i < n; i += THREADS) {
    let key = candidates[candidates_row + i].x;
    if (key >= window.x && key <= window.y) {
      let weighted = u32(mass_of(key) * f32(key) / MEAN_STEP);
      add_to_bin(key >> 16u, select(mass_steps(key), weighted, of_keys));
    }
  }
  scan_bins(thread, 0.0, select(MASS_STEP, MEAN_STEP, of_keys));
  let sum = running[THREADS - 1u];
  return bitcast<f32>(uniform_word(thread, bitcast<u32>(sum)));
}

fn typical_window(thread: u32, n: u32, share: f32, limit: u32) -> vec2<u32> {
  let whole = vec2(0u, limit);
  var sums = vec2(0.0);  // of probabilities, and of keys by them
  for (var i = 0u; i < 2u; i++) {
    sums[i] = window_sum(thread, n, whole, i == 1u);
  }
  centre = u32(sums.y / sums.x);
  // Whatever the share, one token stays.
  let radius = threshold(thread, n, true, max(share * sums.x, MASS_STEP), limit);
  let window = vec2(centre - min(radius, centre), min(centre + radius, limit));
  centre = 0u;
  return window;
}

fn without_top_choices(thread: u32, n: u32, least: f32, window: vec2<u32>) -> vec2<u32> {
  let mass = least * window_sum(thread, n, window, false);
  if (thread == 0u) {
    atomicStore(&edge, 0u);
    atomicStore(&n_above, 0u);
  }
  workgroupBarrier();
  let last = min(window.y, key_of_mass(mass));
  for (var i = thread; i < n; i += THREADS) {
    let key = candidates[candidates_row + i].x;
    if (key >= window.x && key <= last && mass <= 1.0) {
      atomicMax(&edge, key);
      atomicAdd(&n_above, 1u);
    }
  }
  workgroupBarrier();
  let first = select(window.x, atomicLoad(&edge), atomicLoad(&n_above) > 1u);
  return vec2(uniform_word(thread, first), window.y);
}

// The keys that stay of those up to `limit`; `own` is where the slot's settings begin.
fn shaped_window(thread: u32, n: u32, own: u32, limit: u32, position: u32) -> vec2<u32> {
  var window = vec2(0u, limit);
  let typical_p = bitcast<f32>(settings[own + 11u]);
  if (typical_p < 1.0) {
    window = typical_window(thread, n, typical_p, limit);
  }
  let chance = bitcast<f32>(settings[own + 12u]);
  if (chance > 0.0) {
    let narrow = without_top_choices(thread, n, bitcast<f32>(settings[own + 13u]), window);
    window = select(window, narrow, uniform_number(position) < chance);
  }
  return window;
}
