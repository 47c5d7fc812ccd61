// Reader of float16 weights. See quant/f32.wgsl for what a reader does.
// A unit is 4 vec4 of words: columns 2j and 2j + 1 of each row share a word of the j-th.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

fn even_column(words: vec4<u32>) -> vec4<f32> {
  return vec4(unpack2x16float(words.x).x, unpack2x16float(words.y).x,
              unpack2x16float(words.z).x, unpack2x16float(words.w).x);
}

fn odd_column(words: vec4<u32>) -> vec4<f32> {
  return vec4(unpack2x16float(words.x).y, unpack2x16float(words.y).y,
              unpack2x16float(words.z).y, unpack2x16float(words.w).y);
}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let at = unit * 4u;
  let a = quants[at];
  let b = quants[at + 1u];
  let c = quants[at + 2u];
  let d = quants[at + 3u];
  return array(even_column(a), odd_column(a), even_column(b), odd_column(b),
               even_column(c), odd_column(c), even_column(d), odd_column(d));
}

fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let w = unit_columns(unit);
  return x0.x * w[0] + x0.y * w[1] + x0.z * w[2] + x0.w * w[3]
       + x1.x * w[4] + x1.y * w[5] + x1.z * w[6] + x1.w * w[7];
}

fn row_unit(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let w = unit_columns(row / 4u * UNITS + u);
  let r = row % 4u;
  return array(vec4(w[0][r], w[1][r], w[2][r], w[3][r]), vec4(w[4][r], w[5][r], w[6][r], w[7][r]));
}
