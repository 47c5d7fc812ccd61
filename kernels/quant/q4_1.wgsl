// Reader of Q4_1: 32 weights of a row = scale * nibble + minimum, f16 each, one pair a block.
// See quant/f32.wgsl for what a reader does. A unit is one vec4: a word a row, whose bytes hold
// columns 0-3 in their low nibbles and 4-7 in their high ones. Scales: quad by quad, block by block,
// a word (scale, minimum) a row.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

struct Rows {
  low: mat4x4<f32>,
  high: mat4x4<f32>,
}

fn nibbles(word: u32) -> vec4<f32> {
  return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu));
}

fn scaled(word: u32, scale: u32) -> vec4<f32> {
  let s = unpack2x16float(scale);
  return nibbles(word) * s.x + s.y;
}

fn unit_rows(unit: u32) -> Rows {
  let q = quants[unit];
  let h = q >> vec4(4u);
  let s = scales[unit / 4u];
  return Rows(mat4x4(scaled(q.x, s.x), scaled(q.y, s.y), scaled(q.z, s.z), scaled(q.w, s.w)),
              mat4x4(scaled(h.x, s.x), scaled(h.y, s.y), scaled(h.z, s.z), scaled(h.w, s.w)));
}

// The minimum is multiplied once, with the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let q = quants[unit];
  let h = q >> vec4(4u);
  let packed = scales[unit / 4u];
  let a = unpack2x16float(packed.x);
  let b = unpack2x16float(packed.y);
  let c = unpack2x16float(packed.z);
  let d = unpack2x16float(packed.w);
  let sum = x0 * mat4x4(nibbles(q.x), nibbles(q.y), nibbles(q.z), nibbles(q.w))
          + x1 * mat4x4(nibbles(h.x), nibbles(h.y), nibbles(h.z), nibbles(h.w));
  return sum * vec4(a.x, b.x, c.x, d.x) + dot(x0 + x1, vec4(1.0)) * vec4(a.y, b.y, c.y, d.y);
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let unit = row / 4u * UNITS + u;
  let word = quants[unit][row % 4u];
  let scale = scales[unit / 4u][row % 4u];
  return array(scaled(word, scale), scaled(word >> 4u, scale));
}
