// Reader of bfloat16 weights. See quant/f32.wgsl for what a reader does.

${quant/halves}

fn even_column(words: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(words << vec4(16u));
}

fn odd_column(words: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(words & vec4(0xffff0000u));
}
