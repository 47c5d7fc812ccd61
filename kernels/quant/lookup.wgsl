// Nibbles that stand for 16 numbers: VALUES holds them, each plus ZERO, as bytes, which is quicker than
// an array that a GPU keeps in memory. A unit is one vec4, as in quant/fours.wgsl.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/bytes}

// Of the lowest four bits.
fn value_of(nibbles: vec4<u32>) -> vec4<f32> {
  let odd = (nibbles & vec4(4u)) != vec4(0u);
  let lower = select(vec4(VALUES.x), vec4(VALUES.y), odd);
  let upper = select(vec4(VALUES.z), vec4(VALUES.w), odd);
  let four = select(lower, upper, (nibbles & vec4(8u)) != vec4(0u));
  return byte0(four >> ((nibbles & vec4(3u)) * 8u), 0xffu, ZERO);
}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  let q = quants[unit];
  return array(value_of(q), value_of(q >> vec4(8u)),
               value_of(q >> vec4(16u)), value_of(q >> vec4(24u)),
               value_of(q >> vec4(4u)), value_of(q >> vec4(12u)),
               value_of(q >> vec4(20u)), value_of(q >> vec4(28u)));
}
