// A thread's part of the product of a row of x, rounded to 8 bits on the way, and a quad of an expert's
// rows, by dot products of 4 bytes. See experts/floats.wgsl for what a product is, gemv_dot4.wgsl for the
// rounding. To be included behind all overrides.

override TILE: u32;              // units that are rounded at a time, a multiple of LANES

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

var<workgroup> tile: array<vec4<u32>, TILE>;  // units as dot4/units.wgsl rounds them

fn round_tile(x_row: u32, start: u32, thread: u32) {
  workgroupBarrier();  // the one before is read
  for (var i = thread; i < TILE; i += THREADS) {
    if (start + i < UNITS) {
      let at = (x_row * UNITS + start + i) * 2u;
      tile[i] = rounded(x[at], x[at + 1u]);
    }
  }
  workgroupBarrier();
}

fn product(x_row: u32, expert: u32, quad: u32, thread: u32) -> vec4<f32> {
  let lane = thread % LANES;
  let w = (first_row(expert) / 4u + quad) * UNITS;
  var sum = vec4<f32>();
  var next = load_unit(w + min(lane, UNITS - 1u));
  for (var start = 0u; start < UNITS; start += TILE) {
    round_tile(x_row, start, thread);
    for (var i = lane; i < min(TILE, UNITS - start); i += LANES) {
      let stored = next;
      next = load_unit(w + min(start + i + LANES, UNITS - 1u));  // waits while this one is multiplied
      sum += unit_products(tile[i], decoded(stored));
    }
  }
  return with_bias(sum, expert, quad, lane);
}
