// The end of a GEMM whose tiles are rows that go to the same expert, with this expert's rows of the
// weight, as group_experts.wgsl has sorted them: row m is a pair of a row of the chunk and one of its
// experts. It reads row pair / SHARE of x; its results are row pair of y.
// groups: see group_experts.wgsl. Assumes EXPERT_ROWS a multiple of 4, and that a slice holds whole experts.

override EXPERT_ROWS: u32;    // rows of an expert's matrix
override SHARE: u32;          // pairs that share a row of x: TOP, or 1
override PAIRS_AT: u32;       // where in groups the pairs begin

@group(0) @binding(5) var<storage, read> groups: array<u32>;

${linear/bias}
${linear/no_lora}

struct RowTile {
  m0: u32,
  end: u32,
  expert: u32,
}

fn tile_of(number: u32, rows: u32) -> RowTile {
  let first = groups[4u * number + 1u];
  return RowTile(first, first + groups[4u * number + 2u], groups[4u * number]);
}

// The expert's first row within the slice; past its end if it is not there.
fn first_row(tile: RowTile) -> u32 {
  return tile.expert * EXPERT_ROWS - ROW0;
}

fn is_held(tile: RowTile) -> bool {
  return tile.m0 < tile.end && first_row(tile) < SLICE;
}

fn x_row(tile: RowTile, m: u32) -> u32 {
  return groups[PAIRS_AT + min(m, tile.end - 1u)] / SHARE;
}

fn w_rows() -> u32 {
  return EXPERT_ROWS;
}

fn w_quad(tile: RowTile) -> u32 {
  return first_row(tile) / 4u;
}

fn emit_tile(tile: RowTile, m: u32, n: u32, v: vec4<f32>) {
  if (m >= tile.end || n >= EXPERT_ROWS) {
    return;
  }
  let pair = groups[PAIRS_AT + m];
  let row = tile.expert * EXPERT_ROWS + n;
  emit(pair, n, vec2(biased(row, v.x), biased(row + 1u, v.y)));
  emit(pair, n + 2u, vec2(biased(row + 2u, v.z), biased(row + 3u, v.w)));
}
