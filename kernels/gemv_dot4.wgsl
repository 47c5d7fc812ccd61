// One row of activations, rounded to 8 bits on the way, times a weight matrix of 8 bits or less, by dot
// products of 4 bytes (WGSL's packed_4x8_integer_dot_product): v[n] = sum_k W[n][k] * x[k] (+ bias[n]).
//
// Purpose   linear layers of a decode step where this is faster than gemv.wgsl: matrices so large that
//           the arithmetic of their weights takes longer than reading them
// Bindings  as of gemv.wgsl
// Dispatch  as of gemv.wgsl
// Assumes   emit() takes pairs of rows (n, n + 1), n even
//
// Every workgroup rounds the row for itself, TILE units at a time: what a unit of 8 columns holds are
// whole numbers of 127ths of its greatest. As in gemv.wgsl LANES threads share a row group of QUADS * 4
// rows; all of the workgroup's share the rounded row.

${enables}

override UNITS: u32;             // row length in units of 8 columns
override K: u32;                 // row length, unpadded: what RMSNorm divides by
override LANES: u32;             // threads along a row, a power of two
override GROUPS: u32;            // row groups a workgroup
override QUADS: u32;             // quads of rows a row group: 1 or 2
override UNROLL: u32;            // units that a thread loads at a time: 1, 2 or 4
override TILE: u32;              // units, a multiple of UNROLL * LANES
override NORM: bool = false;
override EPS: f32 = 0.0;
override THREADS: u32;           // LANES * GROUPS

${quant}
${epilogue}
${finish}
${lanes}

var<workgroup> tile: array<vec4<u32>, TILE>;  // units as dot4/units.wgsl rounds them
var<workgroup> group_squares: array<f32, GROUPS>;

${source}

// Rounds a unit into the tile, times the norm's weight if there is one; the sum of its squares before.
fn round_unit(u: u32, place: u32) -> f32 {
  if (u >= UNITS) {
    tile[place] = vec4(0u);
    return 0.0;
  }
  var low = source(u * 2u);
  var high = source(u * 2u + 1u);
  let squares = dot(low, low) + dot(high, high);
  if (NORM) {
    low *= vectors[u * 2u];
    high *= vectors[u * 2u + 1u];
  }
  tile[place] = rounded(low, high);
  return squares;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let index = group.y * groups.x + group.x;
  let lane = thread % LANES;
  let first = (index * GROUPS + thread / LANES) * QUADS;
  source_ready(thread);
  // Quads past the end are read as the last one, and not emitted.
  let last = (SLICE - 1u) / 4u;
  let quad0 = min(first, last) * UNITS;
  let quad1 = min(first + 1u, last) * UNITS;
  var sums0 = vec4<f32>();
  var sums1 = vec4<f32>();
  var squares = 0.0;
  for (var start = 0u; start < UNITS; start += TILE) {
    if (start > 0u) {
      workgroupBarrier();
    }
    for (var i = thread; i < TILE; i += THREADS) {
      squares += round_unit(start + i, i);
    }
    workgroupBarrier();
    let end = min(TILE, UNITS - start);
    // UNROLL units at a time, so that their loads wait together. Those past the end count as nothing.
    for (var i = lane; i < end; i += UNROLL * LANES) {
      let a = min(start + i, UNITS - 1u);
      let b = min(a + LANES, UNITS - 1u);
      let c = min(a + 2u * LANES, UNITS - 1u);
      let d = min(a + 3u * LANES, UNITS - 1u);
      let a0 = load_unit(quad0 + a);
      var a1 = a0;
      var b0 = a0;
      var b1 = a0;
      var c0 = a0;
      var c1 = a0;
      var d0 = a0;
      var d1 = a0;
      if (QUADS > 1u) {
        a1 = load_unit(quad1 + a);
      }
      if (UNROLL > 1u) {
        b0 = load_unit(quad0 + b);
        if (QUADS > 1u) {
          b1 = load_unit(quad1 + b);
        }
      }
      if (UNROLL > 2u) {
        c0 = load_unit(quad0 + c);
        d0 = load_unit(quad0 + d);
        if (QUADS > 1u) {
          c1 = load_unit(quad1 + c);
          d1 = load_unit(quad1 + d);
        }
      }
      let x = tile[i];
      sums0 += unit_products(x, decoded(a0));
      if (QUADS > 1u) {
        sums1 += unit_products(x, decoded(a1));
      }
      if (UNROLL > 1u) {
        let y = tile[i + LANES];
        sums0 += unit_products(y, decoded(b0));
        if (QUADS > 1u) {
          sums1 += unit_products(y, decoded(b1));
        }
      }
      if (UNROLL > 2u) {
        let y = tile[i + 2u * LANES];
        let z = tile[i + 3u * LANES];
        sums0 += unit_products(y, decoded(c0)) + unit_products(z, decoded(d0));
        if (QUADS > 1u) {
          sums1 += unit_products(y, decoded(c1)) + unit_products(z, decoded(d1));
        }
      }
    }
  }
  sums0 = lane_sum(sums0, thread);
  if (QUADS > 1u) {
    sums1 = lane_sum(sums1, thread);
  }
  if (NORM) {
    let mine = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
    if (lane == 0u) {
      group_squares[thread / LANES] = mine;
    }
    workgroupBarrier();
    var total = 0.0;
    for (var other = 0u; other < GROUPS; other++) {
      total += group_squares[other];
    }
    let factor = inverseSqrt(total / f32(K) + EPS);
    sums0 *= factor;
    sums1 *= factor;
  }
  if (lane == 0u) {
    emit_quad(0u, first * 4u, sums0);
    if (QUADS > 1u) {
      emit_quad(0u, first * 4u + 4u, sums1);
    }
  }
}
