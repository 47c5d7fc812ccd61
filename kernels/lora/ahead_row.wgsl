// lora/ahead.wgsl in a kernel whose workgroups each make some columns of a single row y, which is x:
// workgroup i columns 4 * i * AHEAD_WIDE and those behind, with which it multiplies A.

override AHEAD_WIDE: u32;           // vec4 of y that a workgroup makes, at most THREADS / 4
override AHEAD_NORM: bool = false;  // x is y times the norm's weight: the next kernel divides

${lora/ahead}

var<workgroup> made: array<f32, THREADS>;  // the workgroup's columns of y

// What a rank has for columns 4 * i .. 4 * i + 3, as it is loaded.
struct AheadHeld {
  known: AheadQuad,
  scale: f32,
  a: vec4<f32>,
  norm: vec4<f32>,
}

fn ahead_loaded(known: AheadQuad, rank: u32, i: u32) -> AheadHeld {
  let column = min(i, 2u * AHEAD_UNITS - 1u);
  let a = next[u32(known.entry.x) + (rank % 4u) * 2u * AHEAD_UNITS + column];
  var held = AheadHeld(known, ahead_scale(known), a, vec4(1.0));
  if (AHEAD_NORM) {
    held.norm = next[column];
  }
  return held;
}

// scale * A there, times the norm's weight.
fn ahead_factors(held: AheadHeld, rank: u32, i: u32) -> vec4<f32> {
  let there = rank / 4u < u32(held.known.used) && i < 2u * AHEAD_UNITS && held.scale != 0.0;
  return select(vec4<f32>(), held.scale * held.a * held.norm, there);
}

// A thread's for the first ranks, to be loaded before they are needed: AHEAD_WIDE threads share a rank.
fn ahead_known(thread: u32) -> AheadQuad {
  return ahead_quad(thread / AHEAD_WIDE / 4u);
}

fn ahead_held(known: AheadQuad, thread: u32, part: u32) -> AheadHeld {
  return ahead_loaded(known, thread / AHEAD_WIDE, part * AHEAD_WIDE + thread % AHEAD_WIDE);
}

// Shows the workgroup what a thread has written of y: one of so many equal shares.
fn ahead_keep(share: u32, shares: u32, part: u32) {
  let count = 4u * AHEAD_WIDE / shares;
  for (var i = share * count; i < (share + 1u) * count; i++) {
    let column = part * 4u * AHEAD_WIDE + i;
    var value = 0.0;
    if (column < 8u * AHEAD_UNITS) {
      value = y[column];
    }
    made[i] = value;
  }
}

// The workgroup's part of all ranks.
fn ahead_made(thread: u32, part: u32, first: AheadHeld) {
  workgroupBarrier();
  let i = part * AHEAD_WIDE + thread % AHEAD_WIDE;
  let at = 4u * (thread % AHEAD_WIDE);
  let mine = vec4(made[at], made[at + 1u], made[at + 2u], made[at + 3u]);
  let quads = THREADS / (4u * AHEAD_WIDE);
  for (var start = 0u; start < AHEAD_QUADS; start += quads) {
    let rank = 4u * start + thread / AHEAD_WIDE;
    var held = first;
    if (start > 0u) {
      held = ahead_loaded(ahead_quad(rank / 4u), rank, i);
    }
    products[thread] = dot(ahead_factors(held, rank, i), mine);
    workgroupBarrier();
    if (thread < quads && start + thread < AHEAD_QUADS) {
      ahead_write(part, start + thread, 4u * AHEAD_WIDE * thread, AHEAD_WIDE);
    }
    workgroupBarrier();
  }
}
