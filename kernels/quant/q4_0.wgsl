// Reader of Q4_0: 32 weights of a row = scale * (nibble - 8), one f16 scale a block.
// See quant/f32.wgsl for what a reader does. A unit is one vec4: a word a row, whose bytes hold
// columns 0-3 in their low nibbles and 4-7 in their high ones. Scales: quad by quad, block by block,
// four f16 for the four rows in two words.
//
// Integers are not converted, which GPUs do at an eighth of their speed: a nibble shifted to bits
// 16-19 under the exponent of 128 is the float 128 + nibble.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

const OFFSET = 136.0;  // 128, and the 8 of the format

fn scales_of(unit: u32) -> vec4<f32> {
  let packed = scales[unit / 4u];
  return vec4(unpack2x16float(packed.x), unpack2x16float(packed.y));
}

fn field(shifted: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((shifted & vec4(0x000f0000u)) | vec4(0x43000000u));
}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let q = quants[unit];
  let s = scales_of(unit);
  return array(
    (field(q << vec4(16u)) - OFFSET) * s, (field(q << vec4(8u)) - OFFSET) * s,
    (field(q) - OFFSET) * s, (field(q >> vec4(8u)) - OFFSET) * s,
    (field(q << vec4(12u)) - OFFSET) * s, (field(q << vec4(4u)) - OFFSET) * s,
    (field(q >> vec4(4u)) - OFFSET) * s, (field(q >> vec4(12u)) - OFFSET) * s);
}

// The offset is taken once, off the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let q = quants[unit];
  let sum = x0.x * field(q << vec4(16u)) + x0.y * field(q << vec4(8u))
          + x0.z * field(q) + x0.w * field(q >> vec4(8u))
          + x1.x * field(q << vec4(12u)) + x1.y * field(q << vec4(4u))
          + x1.z * field(q >> vec4(4u)) + x1.w * field(q >> vec4(12u));
  return (sum - OFFSET * dot(x0 + x1, vec4(1.0))) * scales_of(unit);
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let unit = row / 4u * UNITS + u;
  let word = quants[unit][row % 4u];
  let scale = scales_of(unit)[row % 4u];
  let low = vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu));
  let high = vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu));
  return array((low - 8.0) * scale, (high - 8.0) * scale);
}
