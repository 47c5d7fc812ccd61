// A few rows of activations times a weight matrix: v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   the linear layers of short prompts, of sequences decoded together and of guesses that are
//           verified: too few rows to fill the tiles of gemm.wgsl. A weight is read, and made a float,
//           once for ROWS rows.
// Bindings  0 x, rows of activations, f32, padded with zeros to whole blocks of 32; the others as
//           gemv.wgsl
// Dispatch  (ceil(SLICE / (4 * GROUPS)), 1, ceil(rows / ROWS)) workgroups, x spread over y if it is too
//           short
// Assumes   x has a multiple of ROWS rows; those past the end give results that nobody reads.
//           emit() takes pairs of rows (n, n + 1), n even
//
// LANES threads share a quad of rows of the weight, and add their sums up through workgroup memory:
// all rows' at once, 8 lanes a thread first. The order in which a sum adds up is the same for any ROWS,
// so a row's result does not depend on the rows beside it.

${enables}

override UNITS: u32;             // row length in units of 8 columns
override K: u32;                 // row length, unpadded: what RMSNorm divides by
override LANES: u32;             // threads along a row, a power of two
override GROUPS: u32;            // quads a workgroup
override ROWS: u32;              // rows of x a workgroup: 2, 4 or 8
override NORM: bool = false;
override EPS: f32 = 0.0;
override THREADS: u32;           // LANES * GROUPS

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
${quant}
${epilogue}
${finish}

${linear/row_sums}

var<workgroup> squares: array<f32, ROWS * THREADS>;   // as sums

// The sum of a row's quad so far, and of its squares. Named parts below, not arrays of this: they are
// to stay in registers.
struct Sum {
  v: vec4<f32>,
  squares: f32,
}

struct Columns {
  c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32>,
  c4: vec4<f32>, c5: vec4<f32>, c6: vec4<f32>, c7: vec4<f32>,
}

// 8 columns of a quad, times the norm's weight if there is one.
fn columns(unit: u32, u: u32) -> Columns {
  let w = unit_columns(unit);
  if (NORM) {
    let low = vectors[u * 2u];
    let high = vectors[u * 2u + 1u];
    return Columns(w[0] * low.x, w[1] * low.y, w[2] * low.z, w[3] * low.w,
                   w[4] * high.x, w[5] * high.y, w[6] * high.z, w[7] * high.w);
  }
  return Columns(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
}

fn added(sum: Sum, m: u32, u: u32, w: Columns) -> Sum {
  let at = (m * UNITS + u) * 2u;
  let low = x[at];
  let high = x[at + 1u];
  let v = sum.v + low.x * w.c0 + low.y * w.c1 + low.z * w.c2 + low.w * w.c3
                + high.x * w.c4 + high.y * w.c5 + high.z * w.c6 + high.w * w.c7;
  if (NORM) {
    return Sum(v, sum.squares + dot(low, low) + dot(high, high));
  }
  return Sum(v, 0.0);
}

fn share(m: u32, row: u32, n: u32, thread: u32, sum: Sum) {
  let at = lane_at(row, thread / LANES, thread % LANES);
  sums[at] = sum.v + lora_share(m + row, n, thread % LANES, LANES);
  if (NORM) {
    squares[at] = sum.squares;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let quad0 = (group.y * groups.x + group.x) * GROUPS;
  let m = group.z * ROWS;
  // Quads past the end are read as the last one, and not emitted.
  let first = min(quad0 + thread / LANES, (SLICE - 1u) / 4u) * UNITS;
  var a = Sum(); var b = Sum(); var c = Sum(); var d = Sum();
  var e = Sum(); var f = Sum(); var g = Sum(); var h = Sum();
  for (var u = thread % LANES; u < UNITS; u += LANES) {
    let w = columns(first + u, u);
    a = added(a, m, u, w);
    b = added(b, m + 1u, u, w);
    if (ROWS > 2u) {
      c = added(c, m + 2u, u, w);
      d = added(d, m + 3u, u, w);
    }
    if (ROWS > 4u) {
      e = added(e, m + 4u, u, w);
      f = added(f, m + 5u, u, w);
      g = added(g, m + 6u, u, w);
      h = added(h, m + 7u, u, w);
    }
  }
  let n = (quad0 + thread / LANES) * 4u;
  share(m, 0u, n, thread, a);
  share(m, 1u, n, thread, b);
  if (ROWS > 2u) {
    share(m, 2u, n, thread, c);
    share(m, 3u, n, thread, d);
  }
  if (ROWS > 4u) {
    share(m, 4u, n, thread, e);
    share(m, 5u, n, thread, f);
    share(m, 6u, n, thread, g);
    share(m, 7u, n, thread, h);
  }
  workgroupBarrier();
  fold_lanes(thread);
  for (var i = thread; i < ROWS * GROUPS; i += THREADS) {
    finish_row(m, i / GROUPS, quad0, i % GROUPS);
  }
}

// Adds up what the lanes of one row and quad have.
fn finish_row(m: u32, row: u32, quad0: u32, quad: u32) {
  var sum = row_sum(row, quad);
  if (NORM) {
    let total = squares_sum(row, quad, 0u, LANES, lanes_each());
    sum *= inverseSqrt(total / f32(K) + EPS);
  }
  emit_quad(m + row, (quad0 + quad) * 4u, sum);
}

// See linear/row_sums.wgsl.
fn fold_beside(row: u32, quad: u32, lane: u32) {
  if (NORM) {
    squares[lane_at(row, quad, lane)] = squares_sum(row, quad, lane, lane + FOLDED, 1u);
  }
}

fn squares_sum(row: u32, quad: u32, first: u32, end: u32, step: u32) -> f32 {
  var total = 0.0;
  for (var lane = first; lane < end; lane += step) {
    total += squares[lane_at(row, quad, lane)];
  }
  return total;
}
