// A few rows of activations in 8 bits times a weight matrix of 8 bits or less, by dot products of 4 bytes
// (WGSL's packed_4x8_integer_dot_product): v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   what gemv_rows.wgsl is for, of matrices whose single rows gemv_dot4.wgsl multiplies: a row's
//           result is the same, but for the order of its sum
// Bindings  0 x, as round_rows.wgsl writes it; the others as of gemv.wgsl
// Dispatch  as of gemv_rows.wgsl
// Assumes   as gemv_rows.wgsl does
//
// LANES threads share a quad of rows of the weight, and add their sums up through workgroup memory:
// all rows' at once.

${enables}

override UNITS: u32;             // row length in units of 8 columns
override LANES: u32;             // threads along a row, a power of two
override GROUPS: u32;            // quads a workgroup
override ROWS: u32;              // rows of x a workgroup: 2, 4 or 8
override THREADS: u32;           // LANES * GROUPS

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
${quant}
${epilogue}
${finish}

${linear/row_sums}

fn fold_beside(row: u32, quad: u32, lane: u32) {}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let quad0 = (group.y * groups.x + group.x) * GROUPS;
  let m = group.z * ROWS;
  let lane = thread % LANES;
  let quad = thread / LANES;
  // Quads past the end are read as the last one, and not emitted.
  let first = min(quad0 + quad, (SLICE - 1u) / 4u) * UNITS;
  var a = vec4<f32>(); var b = vec4<f32>(); var c = vec4<f32>(); var d = vec4<f32>();
  var e = vec4<f32>(); var f = vec4<f32>(); var g = vec4<f32>(); var h = vec4<f32>();
  var next = load_unit(first + min(lane, UNITS - 1u));
  for (var u = lane; u < UNITS; u += LANES) {
    let w = decoded(next);
    next = load_unit(first + min(u + LANES, UNITS - 1u));  // waits while this one is multiplied
    let at = m * UNITS + u;
    a += unit_products(x[at], w);
    b += unit_products(x[at + UNITS], w);
    if (ROWS > 2u) {
      c += unit_products(x[at + 2u * UNITS], w);
      d += unit_products(x[at + 3u * UNITS], w);
    }
    if (ROWS > 4u) {
      e += unit_products(x[at + 4u * UNITS], w);
      f += unit_products(x[at + 5u * UNITS], w);
      g += unit_products(x[at + 6u * UNITS], w);
      h += unit_products(x[at + 7u * UNITS], w);
    }
  }
  sums[lane_at(0u, quad, lane)] = a;
  sums[lane_at(1u, quad, lane)] = b;
  if (ROWS > 2u) {
    sums[lane_at(2u, quad, lane)] = c;
    sums[lane_at(3u, quad, lane)] = d;
  }
  if (ROWS > 4u) {
    sums[lane_at(4u, quad, lane)] = e;
    sums[lane_at(5u, quad, lane)] = f;
    sums[lane_at(6u, quad, lane)] = g;
    sums[lane_at(7u, quad, lane)] = h;
  }
  workgroupBarrier();
  fold_lanes(thread);
  for (var i = thread; i < ROWS * GROUPS; i += THREADS) {
    emit_quad(m + i / GROUPS, (quad0 + i % GROUPS) * 4u, row_sum(i / GROUPS, i % GROUPS));
  }
}
