// Reader of float16 weights, two to a word. See quant/f32.wgsl for what a reader does.
// A unit is 4 vec4 of words: the 8 columns of each row in turn.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

struct Rows {
  low: mat4x4<f32>,
  high: mat4x4<f32>,
}

fn unpack4(a: u32, b: u32) -> vec4<f32> {
  return vec4(unpack2x16float(a), unpack2x16float(b));
}

fn unit_rows(unit: u32) -> Rows {
  let at = unit * 4u;
  let a = quants[at];
  let b = quants[at + 1u];
  let c = quants[at + 2u];
  let d = quants[at + 3u];
  return Rows(
    mat4x4(unpack4(a.x, a.y), unpack4(b.x, b.y), unpack4(c.x, c.y), unpack4(d.x, d.y)),
    mat4x4(unpack4(a.z, a.w), unpack4(b.z, b.w), unpack4(c.z, c.w), unpack4(d.z, d.w)));
}

fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let rows = unit_rows(unit);
  return x0 * rows.low + x1 * rows.high;
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let packed = quants[(row / 4u * UNITS + u) * 4u + row % 4u];
  return array(unpack4(packed.x, packed.y), unpack4(packed.z, packed.w));
}
