// A scale and a minimum a row.

struct Scales {
  scale: vec4<f32>,    // a row each
  minimum: vec4<f32>,
}

// Two f16 a row.
fn unpacked(words: vec4<u32>) -> Scales {
  let a = unpack2x16float(words.x);
  let b = unpack2x16float(words.y);
  let c = unpack2x16float(words.z);
  let d = unpack2x16float(words.w);
  return Scales(vec4(a.x, b.x, c.x, d.x), vec4(a.y, b.y, c.y, d.y));
}
