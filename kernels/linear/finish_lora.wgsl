// The end of every linear kernel, of a weight with low-rank adapters beside it (LoRA, arXiv
// 2106.09685): v[m] += B (scale * A x[m]), what is in brackets from lora_shrink.wgsl.
//
// vectors has, from LORA_AT on (in vec4, numbers as floats), the ranks of all loaded adapters in quads:
//   1 vec4              quads of ranks Q, and rows M of x that there is room for
//   Q vec4, one a quad  where its part of B begins (in vec4 of vectors), the first quad of output rows
//                       that it reaches, over how many vec4 of B these rows go, and
//                       4 * adapter + spread; spread 0: B has the rows one by one, 1: only the even
//                       rows of these, 2: only the odd ones
//   M * Q vec4          [row of x][quad]  scale * A x
//   4 * Q * UNITS * 2   [rank][columns]   A, rows padded with zeros to whole blocks
//   then B              [quad][4 ranks][rows], as the Q vec4 above say

override LORA_AT: u32;

${linear/emit}

fn lora_quads() -> u32 {
  return u32(vectors[LORA_AT].x);
}

// What four ranks have of row m of x: zeros where its request does without the adapter.
fn lora_input(m: u32, quad: u32) -> vec4<f32> {
  return vectors[LORA_AT + 1u + (1u + m) * lora_quads() + quad];
}

// Rows n .. n + 3 of the slice, of one of a quad's ranks.
fn lora_column(quad: u32, rank: u32, n: u32) -> vec4<f32> {
  let entry = vectors[LORA_AT + 1u + quad];
  let row = (ROW0 + n) / 4u - u32(entry.y);
  let spread = u32(entry.w) % 4u;
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
  return array(lora_column(quad, 0u, n), lora_column(quad, 1u, n),
               lora_column(quad, 2u, n), lora_column(quad, 3u, n));
}

// What one of so many lanes adds to rows n .. n + 3 of the slice.
fn lora_share(m: u32, n: u32, lane: u32, lanes: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  let quads = lora_quads();
  for (var rank = lane; rank < 4u * quads; rank += lanes) {
    let low = vectors[LORA_AT + 1u + (1u + m) * quads + rank / 4u][rank % 4u];
    if (low != 0.0) {
      sum += low * lora_column(rank / 4u, rank % 4u, n);
    }
  }
  return sum;
}
