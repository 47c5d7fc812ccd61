// One row of activations times a weight matrix: v[n] = sum_k W[n][k] * x[k] (+ bias[n]).
//
// Purpose   every linear layer of a decode step. With NORM, x goes through RMSNorm first
//           (arXiv 1910.07467): the sum of squares is taken along the way, so no pass of its own.
// Bindings  0        the row, f32, padded with zeros to whole blocks of 32 (the source declares it)
//           1 quants, 2 scales   the weight's rows (the quantization reader declares them)
//           3 vectors  f32: norm weight, padded to whole blocks (if NORM); bias by output row (if BIAS)
//           4..7       the epilogue's, and what else the source and adapters read or write
// Dispatch  ceil(SLICE / (4 * QUADS * GROUPS)) workgroups, spread over x and y if x is too short
// Assumes   emit() takes pairs of rows (n, n + 1), n even
//
// LANES threads share a row group of QUADS * 4 rows: neighbours read neighbouring units, so loads of
// weights and of x coalesce, and one load of x serves all rows of the group.

${enables}

override UNITS: u32;             // row length in units of 8 columns
override K: u32;                 // row length, unpadded: what RMSNorm divides by
override LANES: u32;             // threads along a row, a power of two
override GROUPS: u32;            // row groups a workgroup
override QUADS: u32;             // quads of rows a row group: 1 or 2
override UNROLL: u32;            // units that a thread loads at a time: 1, 2 or 4
override NORM: bool = false;
override EPS: f32 = 0.0;
override THREADS: u32;           // LANES * GROUPS

${quant}
${epilogue}
${finish}
${lanes}
${ahead}
${source}
${low}

struct XUnit {
  u: u32,             // which unit: the last one in the place of those past the end
  low: vec4<f32>,
  high: vec4<f32>,
  squares: f32,
}

// 8 values of x, zeros past the end, times the norm's weight if there is one; and the sum of their
// squares before.
fn x_unit(wanted: u32) -> XUnit {
  let u = min(wanted, UNITS - 1u);
  var low = source(u * 2u);
  var high = source(u * 2u + 1u);
  if (UNITS % (UNROLL * LANES) != 0u) {
    let inside = select(0.0, 1.0, wanted < UNITS);
    low *= inside;
    high *= inside;
  }
  if (NORM) {
    return XUnit(u, low * vectors[u * 2u], high * vectors[u * 2u + 1u], dot(low, low) + dot(high, high));
  }
  return XUnit(u, low, high, 0.0);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let index = group.y * groups.x + group.x;
  let lane = thread % LANES;
  let first = (index * GROUPS + thread / LANES) * QUADS;
  let entry = low_entry(lane);
  let known = ahead_known(thread);
  source_ready(thread);
  low_ready(thread);
  let low = low_held(entry, first * 4u, lane);
  let ahead = ahead_held(known, thread, index);
  // Quads past the end are read as the last one, and not emitted.
  let last = (SLICE - 1u) / 4u;
  let quad0 = min(first, last) * UNITS;
  let quad1 = min(first + 1u, last) * UNITS;
  var sums0 = vec4<f32>();
  var sums1 = vec4<f32>();
  var squares = 0.0;
  // UNROLL units at a time, so that their loads wait together.
  for (var start = 0u; start < UNITS; start += UNROLL * LANES) {
    let u = start + lane;
    let a = x_unit(u);
    squares += a.squares;
    sums0 += dot_unit(quad0 + a.u, a.low, a.high);
    if (QUADS > 1u) {
      sums1 += dot_unit(quad1 + a.u, a.low, a.high);
    }
    if (UNROLL > 1u) {
      let b = x_unit(u + LANES);
      squares += b.squares;
      sums0 += dot_unit(quad0 + b.u, b.low, b.high);
      if (QUADS > 1u) {
        sums1 += dot_unit(quad1 + b.u, b.low, b.high);
      }
    }
    if (UNROLL > 2u) {
      let c = x_unit(u + 2u * LANES);
      let d = x_unit(u + 3u * LANES);
      squares += c.squares + d.squares;
      sums0 += dot_unit(quad0 + c.u, c.low, c.high) + dot_unit(quad0 + d.u, d.low, d.high);
      if (QUADS > 1u) {
        sums1 += dot_unit(quad1 + c.u, c.low, c.high) + dot_unit(quad1 + d.u, d.low, d.high);
      }
    }
  }
  sums0 = lane_sum(sums0 + low_share(low, false, first * 4u, lane), thread);
  if (QUADS > 1u) {
    sums1 = lane_sum(sums1 + low_share(low, true, first * 4u + 4u, lane), thread);
  }
  if (NORM) {
    let total = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
    let factor = inverseSqrt(total / f32(K) + EPS);
    sums0 *= factor;
    sums1 *= factor;
  }
  if (lane == 0u) {
    emit_quad(0u, first * 4u, sums0);
    if (QUADS > 1u) {
      emit_quad(0u, first * 4u + 4u, sums1);
    }
    ahead_keep(thread / LANES, GROUPS, index);
  }
  ahead_made(thread, index, ahead);
}
