// The end of every linear kernel, of a weight with low-rank adapters beside it (LoRA, arXiv
// 2106.09685): v[m] += B (scale * A x[m]), what is in brackets made by lora_shrink.wgsl, or in a decode
// step by the dispatch before (lora/ahead.wgsl).
//
// vectors has, from LORA_AT on (in vec4, numbers as floats), the ranks of all loaded adapters in Q quads:
//   1 vec4              how many of them are in use
//   Q vec4, one a quad  those in use first: where its part of B begins (in vec4 of vectors), the first
//                       quad of output rows that it reaches, over how many vec4 of B these rows go, and
//                       0: B has the rows one by one, 1: only the even rows of these, 2: only the odd
//   Q vec4, one a quad  where its part of A begins, and the number of its adapter
//   M * Q vec4          [row of x][quad]  scale * A x; or of one row [part][quad]
//   A                   [rank][columns], rows padded with zeros to whole blocks
//   B                   [quad][4 ranks][rows]

override LORA_AT: u32;
override LORA_QUADS: u32;        // Q
override LORA_PARTS: u32 = 1u;   // that lora/parts.wgsl adds up

${linear/emit}

fn lora_quads() -> u32 {
  return u32(vectors[LORA_AT].x);
}

// What four ranks have of row m of x: zeros where its request does without the adapter.
fn lora_input(m: u32, quad: u32) -> vec4<f32> {
  return vectors[LORA_AT + 1u + (2u + m) * LORA_QUADS + quad];
}

fn lora_entry(quad: u32) -> vec4<f32> {
  return vectors[LORA_AT + 1u + quad];
}

// Which vec4 of B rows n .. n + 3 of the slice are in, counted from the first that there is.
fn lora_local(entry: vec4<f32>, n: u32) -> u32 {
  let row = (ROW0 + n) / 4u - u32(entry.y);
  return select(row / 2u, row, entry.w == 0.0);
}

// B's vec4 of one of four ranks for rows n .. n + 3, or another one where there is none.
fn lora_loaded(entry: vec4<f32>, rank: u32, n: u32) -> vec4<f32> {
  let width = u32(entry.z);
  return vectors[u32(entry.x) + rank * width + min(lora_local(entry, n), max(width, 1u) - 1u)];
}

// What it has for each of these rows.
fn lora_shaped(entry: vec4<f32>, b: vec4<f32>, n: u32) -> vec4<f32> {
  let spread = u32(entry.w);
  if (lora_local(entry, n) >= u32(entry.z)) {
    return vec4<f32>();
  }
  if (spread == 0u) {
    return b;
  }
  let even = ((ROW0 + n) / 4u - u32(entry.y)) % 2u == 0u;
  let pair = select(b.zw, b.xy, even);
  return select(vec4(0.0, pair.x, 0.0, pair.y), vec4(pair.x, 0.0, pair.y, 0.0), spread == 1u);
}

fn lora_column(entry: vec4<f32>, rank: u32, n: u32) -> vec4<f32> {
  return lora_shaped(entry, lora_loaded(entry, rank, n), n);
}

// The columns of all four ranks.
fn lora_columns(quad: u32, n: u32) -> array<vec4<f32>, 4> {
  let entry = lora_entry(quad);
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
