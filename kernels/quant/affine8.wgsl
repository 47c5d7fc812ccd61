// Reader of GPTQ's 8-bit weights: scale * (byte - zero), one pair a group.
// See quant/f32.wgsl for what a reader does, quant/q8_0.wgsl for how units lie and bytes become floats.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

const STEPS = 1.0;
const ORIGIN = 256.0;

${quant/zeroed}

fn field(shifted: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((shifted & vec4(0x007f8000u)) | vec4(0x43800000u));
}

fn fields_of(unit: u32) -> array<vec4<f32>, 8> {
  let a = quants[unit * 2u];
  let b = quants[unit * 2u + 1u];
  return array(field(a << vec4(15u)), field(a << vec4(7u)), field(a >> vec4(1u)), field(a >> vec4(9u)),
               field(b << vec4(15u)), field(b << vec4(7u)), field(b >> vec4(1u)), field(b >> vec4(9u)));
}
