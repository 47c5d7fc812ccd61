// The end of a reader whose weights are scale * (nibble - ZERO): it has ZERO and scales_of(unit).
// See quant/f32.wgsl for what a reader does. A unit is one vec4: a word a row, whose bytes hold
// columns 0-3 in their low nibbles and 4-7 in their high ones.
//
// Integers are not converted, which GPUs do at an eighth of their speed: a nibble shifted to the top
// of the mantissa, bits 19-22, under the exponent of 1 is the float 1 + nibble / 16.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/row_unit}

const STEPS = 16.0;              // of a nibble in 1
const OFFSET = 1.0 + ZERO / STEPS;

fn field(shifted: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((shifted & vec4(0x00780000u)) | vec4(0x3f800000u));
}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let q = quants[unit];
  let s = STEPS * scales_of(unit);
  return array(
    (field(q << vec4(19u)) - OFFSET) * s, (field(q << vec4(11u)) - OFFSET) * s,
    (field(q << vec4(3u)) - OFFSET) * s, (field(q >> vec4(5u)) - OFFSET) * s,
    (field(q << vec4(15u)) - OFFSET) * s, (field(q << vec4(7u)) - OFFSET) * s,
    (field(q >> vec4(1u)) - OFFSET) * s, (field(q >> vec4(9u)) - OFFSET) * s);
}

// The offset is taken once, off the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let q = quants[unit];
  let sum = x0.x * field(q << vec4(19u)) + x0.y * field(q << vec4(11u))
          + x0.z * field(q << vec4(3u)) + x0.w * field(q >> vec4(5u))
          + x1.x * field(q << vec4(15u)) + x1.y * field(q << vec4(7u))
          + x1.z * field(q >> vec4(1u)) + x1.w * field(q >> vec4(9u));
  return (sum - OFFSET * dot(x0 + x1, vec4(1.0))) * (STEPS * scales_of(unit));
}
