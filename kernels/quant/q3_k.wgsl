// Reader of Q3_K: 16 weights of a row = d * (scale - 32) * (code - 4), 3 bits a code, 6 the scale, f16 d
// of 256 weights.
// See quant/f32.wgsl for what a reader does, quant/threes.wgsl for how codes lie. Scales: a super-block
// of a quad takes 4 vec4: d as f32; the lower four bits of scales 0 .. 7, of scales 8 .. 15; the upper
// two of all.

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

${quant/threes}
${quant/scaled}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  return codes_of(unit, 4.0);
}

fn scales_of(unit: u32) -> vec4<f32> {
  let at = unit / 32u * 4u;
  let i = unit / 2u % 16u;
  let lower = (scales[at + 1u + i / 8u] >> vec4(i % 8u * 4u)) & vec4(15u);
  let upper = (scales[at + 3u] >> vec4(i * 2u)) & vec4(3u);
  let own = lower | (upper << vec4(4u));
  return bitcast<vec4<f32>>(scales[at]) * byte0(own, 0x3fu, 32.0);
}
