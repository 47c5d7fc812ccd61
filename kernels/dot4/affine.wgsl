// The end of a reader whose weights are scale * code + minimum: it has codes as quant/sixes.wgsl and
// scales as quant/scales_k.wgsl.

${dot4/stored}

const MINIMA = 1u;

struct Decoded {
  low: vec4<u32>,
  high: vec4<u32>,
  scale: vec4<f32>,
  minimum: vec4<f32>,
}

fn decoded(stored: Stored) -> Decoded {
  let words = words_in(stored.codes, stored.unit);
  let s = scales_in(stored.scales, stored.unit);
  return Decoded(words[0], words[1], s.scale, s.minimum);
}

// The minimum is multiplied once, with the sum of x.
fn unit_products(x: vec4<u32>, w: Decoded) -> vec4<f32> {
  let products = dots_of_unit(x, w.low, w.high) - MAGIC;
  return (products * w.scale + bitcast<f32>(x.z) * w.minimum) * bitcast<f32>(x.w);
}

fn less_zeros(codes: vec4<u32>) -> vec4<u32> {
  return codes;
}

fn minimum_of(w: Decoded) -> vec4<f32> {
  return w.minimum;
}
