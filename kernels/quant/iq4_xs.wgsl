// Reader of IQ4_XS: 32 weights of a row = d * (scale - 32) * one of 16 numbers, 6 bits the scale, f16 d
// of 256 weights.
// See quant/f32.wgsl for what a reader does. Scales: a super-block of a quad takes 3 vec4: d as f32;
// then the scales of blocks 4j .. 4j + 3 in the bytes of a word a row.

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

${quant/iq4_values}
${quant/lookup}
${quant/scaled}

fn scales_of(unit: u32) -> vec4<f32> {
  let at = unit / 32u * 3u;
  let block = unit / 4u % 8u;
  let own = scales[at + 1u + block / 4u] >> vec4(block % 4u * 8u);
  return bitcast<vec4<f32>>(scales[at]) * byte0(own, 0x3fu, 32.0);
}
