// Reader of GPTQ's and AWQ's 4-bit weights: scale * (nibble - zero), one pair a group.
// See quant/f32.wgsl for what a reader does, quant/fours.wgsl for how units lie and nibbles become
// floats.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

const STEPS = 16.0;
const ORIGIN = 1.0;

${quant/zeroed}

fn field(shifted: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((shifted & vec4(0x00780000u)) | vec4(0x3f800000u));
}

fn fields_of(unit: u32) -> array<vec4<f32>, 8> {
  let q = quants[unit];
  return array(field(q << vec4(19u)), field(q << vec4(11u)), field(q << vec4(3u)), field(q >> vec4(5u)),
               field(q << vec4(15u)), field(q << vec4(7u)), field(q >> vec4(1u)), field(q >> vec4(9u)));
}
