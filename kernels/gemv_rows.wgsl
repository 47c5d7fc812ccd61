// A few rows of activations times a weight matrix: v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   the linear layers of short prompts, of sequences decoded together and of guesses that are
//           verified: too few rows to fill the tiles of gemm.wgsl. A weight is read once for ROWS rows.
// Bindings  as gemv.wgsl
// Dispatch  (ceil(SLICE / (4 * GROUPS)), 1, ceil(rows / ROWS)) workgroups, x spread over y if it is too
//           short
// Assumes   x has a multiple of ROWS rows; those past the end give results that nobody reads.
//           emit() takes pairs of rows (n, n + 1), n even
//
// LANES threads share a quad of rows of the weight. Each sum adds up in the order of gemv.wgsl with
// QUADS and UNROLL 1, so a row's result does not depend on the rows beside it.

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
${lanes}

// A quad of the weight with each row of x, and the sums of the rows' squares. Named parts, not
// arrays: they are to stay in registers.
struct Sums {
  v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>,
  v4: vec4<f32>, v5: vec4<f32>, v6: vec4<f32>, v7: vec4<f32>,
  squares: array<vec4<f32>, 2>,
}

struct Product {
  v: vec4<f32>,
  squares: f32,
}

fn product(m: u32, u: u32, unit: u32) -> Product {
  let at = (m * UNITS + u) * 2u;
  let low = x[at];
  let high = x[at + 1u];
  if (NORM) {
    let squares = dot(low, low) + dot(high, high);
    return Product(dot_unit(unit, low * vectors[u * 2u], high * vectors[u * 2u + 1u]), squares);
  }
  return Product(dot_unit(unit, low, high), 0.0);
}

fn with_unit(sums: Sums, m: u32, u: u32, unit: u32) -> Sums {
  var s = sums;
  let a = product(m, u, unit);
  let b = product(m + 1u, u, unit);
  s.v0 += a.v;
  s.v1 += b.v;
  s.squares[0] += vec4(a.squares, b.squares, 0.0, 0.0);
  if (ROWS > 2u) {
    let c = product(m + 2u, u, unit);
    let d = product(m + 3u, u, unit);
    s.v2 += c.v;
    s.v3 += d.v;
    s.squares[0] += vec4(0.0, 0.0, c.squares, d.squares);
  }
  if (ROWS > 4u) {
    let e = product(m + 4u, u, unit);
    let f = product(m + 5u, u, unit);
    let g = product(m + 6u, u, unit);
    let h = product(m + 7u, u, unit);
    s.v4 += e.v;
    s.v5 += f.v;
    s.v6 += g.v;
    s.v7 += h.v;
    s.squares[1] += vec4(e.squares, f.squares, g.squares, h.squares);
  }
  return s;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let lane = thread % LANES;
  let quad = (group.y * groups.x + group.x) * GROUPS + thread / LANES;
  let m = group.z * ROWS;
  // Quads past the end are read as the last one, and not emitted.
  let first = min(quad, (SLICE - 1u) / 4u) * UNITS;
  var s = Sums();
  for (var u = lane; u < UNITS; u += LANES) {
    s = with_unit(s, m, u, first + u);
  }
  var factors = array(vec4(1.0), vec4(1.0));
  if (NORM) {
    factors[0] = inverseSqrt(lane_sum(s.squares[0], thread) / f32(K) + EPS);
    if (ROWS > 4u) {
      factors[1] = inverseSqrt(lane_sum(s.squares[1], thread) / f32(K) + EPS);
    }
  }
  finish_row(0u, thread, m, quad, s.v0, factors[0].x);
  finish_row(1u, thread, m, quad, s.v1, factors[0].y);
  if (ROWS > 2u) {
    finish_row(2u, thread, m, quad, s.v2, factors[0].z);
    finish_row(3u, thread, m, quad, s.v3, factors[0].w);
  }
  if (ROWS > 4u) {
    finish_row(4u, thread, m, quad, s.v4, factors[1].x);
    finish_row(5u, thread, m, quad, s.v5, factors[1].y);
    finish_row(6u, thread, m, quad, s.v6, factors[1].z);
    finish_row(7u, thread, m, quad, s.v7, factors[1].w);
  }
}

// Adds a row's sum up over the lanes; a lane for each row emits.
fn finish_row(row: u32, thread: u32, m: u32, quad: u32, part: vec4<f32>, factor: f32) {
  let sum = lane_sum(part, thread) * factor;
  if (thread % LANES == row % LANES) {
    emit_quad(m + row, quad * 4u, sum);
  }
}
