// The end of a reader whose weights are scale * (code - ZERO_POINT): it has codes as quant/sixes.wgsl,
// scales as quant/scales.wgsl, and ZEROS, ZERO_POINT in each byte of a word.

${dot4/stored}

const ZERO_POINT = f32(ZEROS & 0xffu);
const MINIMA = 0u;

struct Decoded {
  low: vec4<u32>,
  high: vec4<u32>,
  scale: vec4<f32>,
}

fn decoded(stored: Stored) -> Decoded {
  let words = words_in(stored.codes, stored.unit);
  return Decoded(words[0], words[1], scales_in(stored.scales, stored.unit));
}

// What stands for zero is taken once, off the sum of x, and exactly: these are whole numbers.
fn unit_products(x: vec4<u32>, w: Decoded) -> vec4<f32> {
  let zero = MAGIC + ZERO_POINT * bitcast<f32>(x.z);
  return (dots_of_unit(x, w.low, w.high) - zero) * (bitcast<f32>(x.w) * w.scale);
}

// Codes less ZEROS; no byte borrows from the next.
fn less_zeros(codes: vec4<u32>) -> vec4<u32> {
  if (ZEROS == 0u) {
    return codes;
  }
  return ((codes | vec4(0x80808080u)) - vec4(ZEROS)) ^ vec4(0x80808080u);
}

fn minimum_of(w: Decoded) -> vec4<f32> {
  return vec4<f32>();
}
