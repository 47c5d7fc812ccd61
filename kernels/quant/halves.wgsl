// The end of a reader of weights of 16 bits, which has even_column(words) and odd_column(words): the low
// and the high halves of four words, as floats.
// A unit is 4 vec4 of words: columns 2j and 2j + 1 of each row share a word of the j-th.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

${quant/plain}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let at = unit * 4u;
  let a = quants[at];
  let b = quants[at + 1u];
  let c = quants[at + 2u];
  let d = quants[at + 3u];
  return array(even_column(a), odd_column(a), even_column(b), odd_column(b),
               even_column(c), odd_column(c), even_column(d), odd_column(d));
}
