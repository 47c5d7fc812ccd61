// Reader of Q4_0: 32 weights of a row = scale * (nibble - 8), one f16 scale a block.
// See quant/f32.wgsl for what a reader does. A unit is one vec4: a word a row, whose bytes hold
// columns 0-3 in their low nibbles and 4-7 in their high ones. Scales: quad by quad, block by block,
// four f16 for the four rows in two words.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

struct Rows {
  low: mat4x4<f32>,
  high: mat4x4<f32>,
}

fn scales_of(unit: u32) -> vec4<f32> {
  let packed = scales[unit / 4u];
  return vec4(unpack2x16float(packed.x), unpack2x16float(packed.y));
}

fn nibbles(word: u32) -> vec4<f32> {
  return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu));
}

fn unit_rows(unit: u32) -> Rows {
  let q = quants[unit];
  let h = q >> vec4(4u);
  let s = scales_of(unit);
  return Rows(
    mat4x4((nibbles(q.x) - 8.0) * s.x, (nibbles(q.y) - 8.0) * s.y, (nibbles(q.z) - 8.0) * s.z, (nibbles(q.w) - 8.0) * s.w),
    mat4x4((nibbles(h.x) - 8.0) * s.x, (nibbles(h.y) - 8.0) * s.y, (nibbles(h.z) - 8.0) * s.z, (nibbles(h.w) - 8.0) * s.w));
}

// The offset of 8 is taken once, off the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let q = quants[unit];
  let h = q >> vec4(4u);
  let sum = x0 * mat4x4(nibbles(q.x), nibbles(q.y), nibbles(q.z), nibbles(q.w))
          + x1 * mat4x4(nibbles(h.x), nibbles(h.y), nibbles(h.z), nibbles(h.w));
  return (sum - 8.0 * dot(x0 + x1, vec4(1.0))) * scales_of(unit);
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let unit = row / 4u * UNITS + u;
  let word = quants[unit][row % 4u];
  let scale = scales_of(unit)[row % 4u];
  return array((nibbles(word) - 8.0) * scale, (nibbles(word >> 4u) - 8.0) * scale);
}
