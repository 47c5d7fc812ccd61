// Epilogue of the fused q/k/v projection: rotary embedding on q and k, then q to its buffer and k, v
// to the sequence's page, or to rows that kv_quantize takes there (arXiv 2104.09864; pairs are
// adjacent, the loader reorders rows for that).
//
// step: [0] rows; 4 words a row from STEP_ROWS: token, position, slot, tokens drawn;
//       from STEP_PAGES: a page table of MAX_PAGES entries a slot.
// rope: (cos, sin) of FINE positions 0,1,2,..., then of multiples of FINE; ROTARY / 2 pairs each.
//       A position's angle is the sum of a coarse and a fine one, so the table stays small and exact.
// CLIP: the bound that queries, keys and values are clamped to before rotation; 0 for none (OLMoE's
// clip_qkv).
// GROWTH: queries are multiplied with 1 + GROWTH * log(1 + position / ORIGINAL, rounded down), Llama 4's
// attention temperature.
// Virtual rows: HEADS * HEAD_DIM of q, then KV_HEADS * HEAD_DIM of k, then as many of v.

override HEADS: u32;
override ROTARY: u32;
override FINE: u32;
override CLIP: f32 = 0.0;
override GROWTH: f32 = 0.0;
override ORIGINAL: u32 = 1u;

@group(0) @binding(4) var<storage, read> step: array<u32>;
@group(0) @binding(5) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> q_out: array<f32>;
@group(0) @binding(7) var<storage, read_write> kv: array<u32>;

${pages}
${append}

fn rotate(v: vec2<f32>, d: u32, position: u32) -> vec2<f32> {
  if (d >= ROTARY) {
    return v;
  }
  let fine = rope[(position % FINE) * (ROTARY / 2u) + d / 2u];
  let coarse = rope[(FINE + position / FINE) * (ROTARY / 2u) + d / 2u];
  let c = coarse.x * fine.x - coarse.y * fine.y;
  let s = coarse.y * fine.x + coarse.x * fine.y;
  return vec2(v.x * c - v.y * s, v.x * s + v.y * c);
}

fn emit(m: u32, n: u32, projected: vec2<f32>) {
  if (m >= step[0]) {
    return;  // rows past the chunk's end belong to nobody's page
  }
  let position = position_of(m);
  var v = projected;
  if (CLIP > 0.0) {
    v = clamp(v, vec2(-CLIP), vec2(CLIP));
  }
  let head = n / HEAD_DIM;
  let d = n % HEAD_DIM;
  if (head < HEADS) {
    var q = rotate(v, d, position);
    if (GROWTH > 0.0) {
      q *= 1.0 + GROWTH * log(f32(1u + position / ORIGINAL));
    }
    let at = m * (HEADS * HEAD_DIM) + n;
    q_out[at] = q.x;
    q_out[at + 1u] = q.y;
    return;
  }
  if (head < HEADS + KV_HEADS) {
    key_write(m, head - HEADS, d, rotate(v, d, position));
  } else {
    value_write(m, head - HEADS - KV_HEADS, d, v);
  }
}
