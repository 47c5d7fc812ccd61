// Reader of 8-bit floats (E4M3 of arXiv 2209.05433, "FN": no infinities): scale * float, an f32 scale for
// each GROUP_UNITS units of a row.
// See quant/f32.wgsl for what a reader does, quant/q8_0.wgsl for how units lie. Scales: quad by quad,
// group by group, one a row; rows are whole groups.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<vec4<f32>>;

${quant/scaled}

// Of the highest byte. Those without an exponent are m / 8 * 2^-6: the bits alone give
// (1 + m / 8) * 2^-7, so twice that less 2^-6. A GPU need not know float32 as small as their bits alone.
fn e4m3(words: vec4<u32>) -> vec4<f32> {
  let sign = words & vec4(0x80000000u);
  let value = bitcast<vec4<f32>>((((words >> vec4(4u)) & vec4(0x07f00000u)) + vec4(0x3c000000u)) | sign);
  let least = bitcast<vec4<f32>>(vec4(0x3c800000u) | sign);
  return select(value, 2.0 * value - least, (words & vec4(0x78000000u)) == vec4(0u));
}

fn unscaled_columns(unit: u32) -> array<vec4<f32>, 8> {
  let a = quants[unit * 2u];
  let b = quants[unit * 2u + 1u];
  return array(e4m3(a << vec4(24u)), e4m3(a << vec4(16u)), e4m3(a << vec4(8u)), e4m3(a),
               e4m3(b << vec4(24u)), e4m3(b << vec4(16u)), e4m3(b << vec4(8u)), e4m3(b));
}

fn scales_of(unit: u32) -> vec4<f32> {
  return scales[unit / GROUP_UNITS];
}
