// Reader of Q8_0: 32 weights of a row = scale * int8, one f16 scale a block.
// See quant/f32.wgsl for what a reader does. A unit is two vec4: columns 0-3 of the four rows, a word
// each, then columns 4-7. Scales: quad by quad, block by block, four f16 for the four rows.

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

fn bytes4(word: u32) -> vec4<f32> {
  return vec4<f32>(unpack4xI8(word));
}

fn unit_rows(unit: u32) -> Rows {
  let a = quants[unit * 2u];
  let b = quants[unit * 2u + 1u];
  let s = scales_of(unit);
  return Rows(
    mat4x4(bytes4(a.x) * s.x, bytes4(a.y) * s.y, bytes4(a.z) * s.z, bytes4(a.w) * s.w),
    mat4x4(bytes4(b.x) * s.x, bytes4(b.y) * s.y, bytes4(b.z) * s.z, bytes4(b.w) * s.w));
}

fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let a = quants[unit * 2u];
  let b = quants[unit * 2u + 1u];
  return (x0 * mat4x4(bytes4(a.x), bytes4(a.y), bytes4(a.z), bytes4(a.w))
        + x1 * mat4x4(bytes4(b.x), bytes4(b.y), bytes4(b.z), bytes4(b.w))) * scales_of(unit);
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let unit = row / 4u * UNITS + u;
  let scale = scales_of(unit)[row % 4u];
  return array(bytes4(quants[unit * 2u][row % 4u]) * scale, bytes4(quants[unit * 2u + 1u][row % 4u]) * scale);
}
