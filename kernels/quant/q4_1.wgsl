// Reader of Q4_1: 32 weights of a row = scale * nibble + minimum, f16 each, one pair a block.
// See quant/f32.wgsl for what a reader does, quant/fours.wgsl for how units lie and nibbles become
// floats. Scales: quad by quad, block by block, a word (scale, minimum) a row.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

const STEPS = 16.0;   // of a nibble in 1

struct Scales {
  scale: vec4<f32>,    // of 1, so STEPS times the file's
  minimum: vec4<f32>,
}

fn scales_of(unit: u32) -> Scales {
  let packed = scales[unit / 4u];
  let a = unpack2x16float(packed.x);
  let b = unpack2x16float(packed.y);
  let c = unpack2x16float(packed.z);
  let d = unpack2x16float(packed.w);
  return Scales(STEPS * vec4(a.x, b.x, c.x, d.x), vec4(a.y, b.y, c.y, d.y));
}

fn field(shifted: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((shifted & vec4(0x00780000u)) | vec4(0x3f800000u));
}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let q = quants[unit];
  let s = scales_of(unit);
  return array(
    (field(q << vec4(19u)) - 1.0) * s.scale + s.minimum,
    (field(q << vec4(11u)) - 1.0) * s.scale + s.minimum,
    (field(q << vec4(3u)) - 1.0) * s.scale + s.minimum,
    (field(q >> vec4(5u)) - 1.0) * s.scale + s.minimum,
    (field(q << vec4(15u)) - 1.0) * s.scale + s.minimum,
    (field(q << vec4(7u)) - 1.0) * s.scale + s.minimum,
    (field(q >> vec4(1u)) - 1.0) * s.scale + s.minimum,
    (field(q >> vec4(9u)) - 1.0) * s.scale + s.minimum);
}

// The 1 and the minimum are multiplied once, with the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let q = quants[unit];
  let s = scales_of(unit);
  let sum = x0.x * field(q << vec4(19u)) + x0.y * field(q << vec4(11u))
          + x0.z * field(q << vec4(3u)) + x0.w * field(q >> vec4(5u))
          + x1.x * field(q << vec4(15u)) + x1.y * field(q << vec4(7u))
          + x1.z * field(q >> vec4(1u)) + x1.w * field(q >> vec4(9u));
  let total = dot(x0 + x1, vec4(1.0));
  return (sum - total) * s.scale + total * s.minimum;
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let unit = row / 4u * UNITS + u;
  let word = quants[unit][row % 4u];
  let s = unpack2x16float(scales[unit / 4u][row % 4u]);
  let low = vec4<f32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(15u));
  let high = vec4<f32>((vec4(word) >> vec4(4u, 12u, 20u, 28u)) & vec4(15u));
  return array(low * s.x + s.y, high * s.x + s.y);
}
