// The end of every linear kernel, of a weight with low-rank adapters beside it (LoRA, arXiv
// 2106.09685): v[m] += B (scale * A x[m]), what is in brackets from `low`.
//
// vectors has, from LORA_AT on (in vec4, numbers as floats), the ranks of all loaded adapters in quads:
//   1 vec4              quads of ranks in use, rows M of x that there is room for, quads of ranks Q in all
//   Q vec4, one a quad  those in use first: where its part of B begins (in vec4 of vectors), the first
//                       quad of output rows that it reaches, over how many vec4 of B these rows go, and
//                       0: B has the rows one by one, 1: only the even rows of these, 2: only the odd
//   Q vec4, one a quad  where its part of A begins, and the number of its adapter
//   M * Q vec4          [row of x][quad]  scale * A x
//   A                   [rank][columns], rows padded with zeros to whole blocks
//   B                   [quad][4 ranks][rows]

override LORA_AT: u32;

${linear/emit}
${low}

fn lora_quads() -> u32 {
  return u32(vectors[LORA_AT].x);
}

// Rows n .. n + 3 of the slice, of one of four ranks.
fn lora_column(entry: vec4<f32>, rank: u32, n: u32) -> vec4<f32> {
  let row = (ROW0 + n) / 4u - u32(entry.y);
  let spread = u32(entry.w);
  let local = select(row / 2u, row, spread == 0u);
  if (local >= u32(entry.z)) {
    return vec4<f32>();
  }
  let b = vectors[u32(entry.x) + rank * u32(entry.z) + local];
  if (spread == 0u) {
    return b;
  }
  let pair = select(b.zw, b.xy, row % 2u == 0u);
  return select(vec4(0.0, pair.x, 0.0, pair.y), vec4(pair.x, 0.0, pair.y, 0.0), spread == 1u);
}

// The same of all four.
fn lora_columns(quad: u32, n: u32) -> array<vec4<f32>, 4> {
  let entry = vectors[LORA_AT + 1u + quad];
  return array(lora_column(entry, 0u, n), lora_column(entry, 1u, n),
               lora_column(entry, 2u, n), lora_column(entry, 3u, n));
}

// What one of so many lanes adds to rows n .. n + 3 of the slice.
fn lora_share(m: u32, n: u32, lane: u32, lanes: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  for (var quad = lane; quad < lora_quads(); quad += lanes) {
    let low = lora_input(m, quad);
    let b = lora_columns(quad, n);
    sum += low.x * b[0] + low.y * b[1] + low.z * b[2] + low.w * b[3];
  }
  return sum;
}
