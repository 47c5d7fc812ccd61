// Rows of activations in 8 bits (dot4/units.wgsl), normed if NORM says so (RMSNorm, arXiv 1910.07467).
//
// Purpose   what gemv_rows_dot4.wgsl multiplies
// Bindings  0 x        f32, rows padded with zeros to whole blocks of 32
//           1 vectors  f32: the norm's weight, padded likewise (if NORM)
//           2 y        [row][unit of 8 columns]
// Dispatch  (ceil(UNITS / THREADS), rows) workgroups
//
// A norm's factor goes to the scales alone: what is rounded is what gemv_dot4.wgsl rounds of such a row.

${enables}

override UNITS: u32;       // row length in units of 8 columns
override K: u32;           // row length, unpadded
override NORM: bool = false;
override EPS: f32 = 0.0;
override LANES: u32;       // THREADS
override THREADS: u32;     // a power of two

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;

${dot4/units}
${lanes}

// Every workgroup of a row adds it up for itself.
fn factor_of(m: u32, thread: u32) -> f32 {
  var squares = 0.0;
  for (var i = thread; i < UNITS * 2u; i += THREADS) {
    let v = x[m * UNITS * 2u + i];
    squares += dot(v, v);
  }
  let total = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
  return inverseSqrt(total / f32(K) + EPS);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.y;
  let u = group.x * THREADS + thread;
  var factor = 1.0;
  if (NORM) {
    factor = factor_of(m, thread);
  }
  if (u >= UNITS) {
    return;
  }
  let at = m * UNITS + u;
  var low = x[at * 2u];
  var high = x[at * 2u + 1u];
  if (NORM) {
    low *= vectors[u * 2u];
    high *= vectors[u * 2u + 1u];
  }
  let unit = rounded(low, high);
  y[at] = vec4(unit.xyz, bitcast<u32>(bitcast<f32>(unit.w) * factor));
}
