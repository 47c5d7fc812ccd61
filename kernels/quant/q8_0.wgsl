// Reader of Q8_0: 32 weights of a row = scale * int8, one f16 scale a block.
// See quant/f32.wgsl for what a reader does. A unit is two vec4: columns 0-3 of the four rows, a word
// each, then columns 4-7; bytes are kept plus 128, so that they are unsigned. Scales: quad by quad,
// block by block, four f16 for the four rows.
// A byte shifted to bits 15-22 under the exponent of 256 is the float 256 + byte: no conversion.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/scales}
${quant/row_unit}

const OFFSET = 384.0;  // 256, and the 128 of the bytes

fn field(shifted: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((shifted & vec4(0x007f8000u)) | vec4(0x43800000u));
}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let a = quants[unit * 2u];
  let b = quants[unit * 2u + 1u];
  let s = scales_of(unit);
  return array(
    (field(a << vec4(15u)) - OFFSET) * s, (field(a << vec4(7u)) - OFFSET) * s,
    (field(a >> vec4(1u)) - OFFSET) * s, (field(a >> vec4(9u)) - OFFSET) * s,
    (field(b << vec4(15u)) - OFFSET) * s, (field(b << vec4(7u)) - OFFSET) * s,
    (field(b >> vec4(1u)) - OFFSET) * s, (field(b >> vec4(9u)) - OFFSET) * s);
}

// The offset is taken once, off the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let a = quants[unit * 2u];
  let b = quants[unit * 2u + 1u];
  let sum = x0.x * field(a << vec4(15u)) + x0.y * field(a << vec4(7u))
          + x0.z * field(a >> vec4(1u)) + x0.w * field(a >> vec4(9u))
          + x1.x * field(b << vec4(15u)) + x1.y * field(b << vec4(7u))
          + x1.z * field(b >> vec4(1u)) + x1.w * field(b >> vec4(9u));
  return (sum - OFFSET * dot(x0 + x1, vec4(1.0))) * scales_of(unit);
}
