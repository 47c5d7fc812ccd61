// The sampling settings of a slot, and its part of buffers that have one a slot.
//
// settings, SETTINGS words a slot: 0 temperature (0: greedy), 1 top_k (0: off), 2 top_p, 3 min_p,
// 4-5 seed, 6 repetition, 7 frequency, 8 presence penalty, 9 flags (1: penalties, 2: bias, 4: nothing
// is cut off, so the draw itself happens in sample_prepare.wgsl: winners are of scaled values plus
// noise, 8: only the mask's tokens may be drawn, 16: 11 to 15 are in use, 32: mirostat's
// version 1), 10 draws after which the
// mask is over, 11 typical_p, 12 xtc_probability, 13 xtc_threshold, 14 mirostat_tau (0: off),
// 15 mirostat_eta.

@group(0) @binding(1) var<storage, read> settings: array<u32>;

const SETTINGS = 16u;

var<private> slot: u32;  // set first of all

fn setting(i: u32) -> u32 {
  return settings[slot * SETTINGS + i];
}

fn number(i: u32) -> f32 {
  return bitcast<f32>(setting(i));
}

fn of_slot(token: u32) -> u32 {
  return slot * VOCAB + token;
}
