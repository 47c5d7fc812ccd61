// The sampling settings of a slot, and its part of buffers that have one a slot.
//
// settings, 12 words a slot: 0 temperature (0: greedy), 1 top_k (0: off), 2 top_p, 3 min_p, 4-5 seed,
// 6 repetition, 7 frequency, 8 presence penalty, 9 flags (1: penalties, 2: bias, 4: nothing is cut
// off, so the draw itself happens in sample_prepare.wgsl: winners are of scaled values plus noise,
// 8: only the mask's tokens may be drawn).

@group(0) @binding(1) var<storage, read> settings: array<u32>;

var<private> slot: u32;  // set first of all

fn setting(i: u32) -> u32 {
  return settings[slot * 12u + i];
}

fn number(i: u32) -> f32 {
  return bitcast<f32>(setting(i));
}

fn of_slot(token: u32) -> u32 {
  return slot * VOCAB + token;
}
