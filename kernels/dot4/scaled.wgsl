// The end of a reader whose weights are scale * (code - ZERO_POINT): it has ZERO_POINT, f32,
// raw_words(stored) and scales_of(stored), a scale a row.

${dot4/units}

struct Decoded {
  low: vec4<u32>,
  high: vec4<u32>,
  scale: vec4<f32>,
}

fn decoded(stored: Stored) -> Decoded {
  let words = raw_words(stored);
  return Decoded(words[0], words[1], scales_of(stored));
}

// What stands for zero is taken once, off the sum of x, and exactly: these are whole numbers.
fn unit_products(x: vec4<u32>, w: Decoded) -> vec4<f32> {
  let zero = MAGIC + ZERO_POINT * bitcast<f32>(x.z);
  return (dots_of_unit(x, w.low, w.high) - zero) * (bitcast<f32>(x.w) * w.scale);
}
