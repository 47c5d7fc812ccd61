// Reader of MLC's q3f16_1: 40 weights of a row = scale * (code - 3), 3 bits a code, one f16 scale a group.
// See quant/f32.wgsl for what a reader does, quant/threes.wgsl for how codes lie. Scales: quad by quad,
// group by group (5 units), four for the four rows in two words.

@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

${quant/threes}
${quant/scaled}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  return codes_of(unit, 3.0);
}

fn scales_of(unit: u32) -> vec4<f32> {
  let packed = scales[unit / UNITS * ((UNITS + 4u) / 5u) + unit % UNITS / 5u];
  return vec4(unpack2x16float(packed.x), unpack2x16float(packed.y));
}
