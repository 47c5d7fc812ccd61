// Standard Gumbel noise for a token at a position, by the seed of the slot's settings.
// argmax(logits + noise) draws from their softmax.

// A hash of four words (PCG4D; Jarzynski and Olano, JCGT 9(3), 2020).
fn pcg4d(words: vec4<u32>) -> vec4<u32> {
  var v = words * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v ^= v >> vec4(16u);
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}

// Minus the logarithm of an exponential variate. Small exponentials, which win draws, come from a
// series: log(1 - t) near 1 is too coarse in float32.
fn gumbel(token: u32, position: u32) -> f32 {
  let bits = pcg4d(vec4(token, position, setting(4u), setting(5u)));
  let t = min(f32(bits.x >> 8u) * 0x1p-24 + f32(bits.y >> 8u) * 0x1p-48 + 0x1p-49, 0.9999999);
  let series = t * (1.0 + t * (0.5 + t * (0.33333333 + t * 0.25)));
  return -log(select(-log(1.0 - t), series, t < 0.01));
}

// A number from 0 to 1, less than 1, for a position: another than any token's noise has.
fn uniform_number(position: u32) -> f32 {
  let bits = pcg4d(vec4(0xffffffffu, position, setting(4u), setting(5u)));
  return f32(bits.x >> 8u) * 0x1p-24;
}
