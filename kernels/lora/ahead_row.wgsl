// lora/ahead.wgsl in a kernel whose workgroups each make some columns of a single row y, which is x:
// workgroup i columns 4 * i * AHEAD_WIDE and those behind, with which it multiplies A.

override AHEAD_WIDE: u32;           // vec4 of y that a workgroup makes, at most THREADS / 4
override AHEAD_NORM: bool = false;  // x is y times the norm's weight: the next kernel divides

${lora/ahead}

// What a rank has for columns 4 * i .. 4 * i + 3: scale * A, times the norm's weight if there is one.
fn ahead_factors(rank: u32, i: u32) -> vec4<f32> {
  let entry = ahead_entry(rank / 4u);
  let column = min(i, 2u * AHEAD_UNITS - 1u);
  var a = next[u32(entry.x) + (rank % 4u) * 2u * AHEAD_UNITS + column];
  if (AHEAD_NORM) {
    a *= next[column];
  }
  return select(vec4<f32>(), entry.y * a, column == i && entry.y != 0.0);
}

// A thread's for the first ranks, to be loaded before they are needed: AHEAD_WIDE threads share a rank.
fn ahead_held(thread: u32, part: u32) -> vec4<f32> {
  return ahead_factors(thread / AHEAD_WIDE, part * AHEAD_WIDE + thread % AHEAD_WIDE);
}

// The workgroup's part of all ranks, once it has written its columns of y.
fn ahead_made(thread: u32, part: u32, held: vec4<f32>) {
  storageBarrier();
  let i = part * AHEAD_WIDE + thread % AHEAD_WIDE;
  let at = 4u * min(i, 2u * AHEAD_UNITS - 1u);
  let mine = vec4(y[at], y[at + 1u], y[at + 2u], y[at + 3u]);
  let quads = THREADS / (4u * AHEAD_WIDE);
  for (var start = 0u; start < AHEAD_QUADS; start += quads) {
    var factors = held;
    if (start > 0u) {
      factors = ahead_factors(4u * start + thread / AHEAD_WIDE, i);
    }
    products[thread] = dot(factors, mine);
    workgroupBarrier();
    if (thread < quads && start + thread < AHEAD_QUADS) {
      ahead_write(part, start + thread, 4u * AHEAD_WIDE * thread, AHEAD_WIDE);
    }
    workgroupBarrier();
  }
}
