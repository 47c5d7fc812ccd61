// Reader of float16 weights. See quant/f32.wgsl for what a reader does.

${quant/halves}

fn even_column(words: vec4<u32>) -> vec4<f32> {
  return vec4(unpack2x16float(words.x).x, unpack2x16float(words.y).x,
              unpack2x16float(words.z).x, unpack2x16float(words.w).x);
}

fn odd_column(words: vec4<u32>) -> vec4<f32> {
  return vec4(unpack2x16float(words.x).y, unpack2x16float(words.y).y,
              unpack2x16float(words.z).y, unpack2x16float(words.w).y);
}
