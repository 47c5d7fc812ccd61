// A gated short convolution (arXiv 2511.23404): a row is B, C and channels; B times the channels is
// convolved with what came just before, channel by channel, and the result multiplied by C.
//
// Purpose   decode steps and prefill chunks of layers that keep a state instead of keys and values
// Bindings  0 x       [rows][3 * CHANNELS], f32: B, C, channels
//           1 weight  f32: PAST + 1 a channel, the oldest position's first
//           2 step    see states/rows.wgsl
//           3 states  f32: what of B times the channels the PAST positions before had, oldest first
//           4 y       [rows][Y_STRIDE], f32
// Dispatch  (ceil(Y_STRIDE / 64), rows) workgroups
// Assumes   rows of a sequence follow each other
//
// A thread has a channel of a row. That of a sequence's first row has those of all rows that see the state,
// too: nobody else reads what it replaces in the end.

${enables}

override CHANNELS: u32;
override PAST: u32;
override Y_STRIDE: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> states: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

${states/rows}
${states/past}
${states/keep}

fn channels() -> u32 {
  return CHANNELS;
}

fn row_input(m: u32, c: u32) -> f32 {
  let at = m * 3u * CHANNELS + c;
  return x[at] * x[at + 2u * CHANNELS];
}

fn convolve(m: u32, c: u32) {
  var sum = 0.0;
  for (var i = 0u; i <= PAST; i++) {
    sum += weight[c * (PAST + 1u) + i] * before(m, PAST - i, c);
  }
  y[m * Y_STRIDE + c] = x[m * 3u * CHANNELS + CHANNELS + c] * sum;
}

// The last row of the sequence that row m is of.
fn last_of(m: u32) -> u32 {
  var last = step[0] - 1u;
  if (slot_of(last) != slot_of(m)) {
    last = m;
    while (slot_of(last + 1u) == slot_of(m)) {
      last++;
    }
  }
  return last;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x;
  let m = id.y;
  if (m >= step[0] || c >= Y_STRIDE) {
    return;
  }
  if (c >= CHANNELS) {
    y[m * Y_STRIDE + c] = 0.0;  // what fills a row, which other rows were in
    return;
  }
  if (follows(m, PAST)) {
    convolve(m, c);
  } else if (!follows(m, 1u)) {
    let last = last_of(m);
    for (var n = m; n <= min(m + PAST - 1u, last); n++) {
      convolve(n, c);
    }
    keep(last, c);
  }
}
