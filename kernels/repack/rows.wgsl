// Where a source row goes: which rows of a staged piece this dispatch has, and their target rows.
// piece: [0] rows in the piece, [1] number of its first row within the tensor, [2] the word of
// `staged` that it begins at.
// Targets lie in quads of rows and units of 4 rows x 8 columns: see quant/f32.wgsl.
// Tensors that share a fused matrix start at BASE and take every STRIDE-th row. The first ROTARY
// rows of each head of HEAD_DIM go from half-split order (i, i + ROTARY / 2 are a pair) to adjacent.

override BLOCKS: u32;        // target row length in blocks of 32
override K: u32;             // source row length, in elements
override BASE: u32 = 0u;
override STRIDE: u32 = 1u;
override HEAD_DIM: u32 = 1u;  // 1 and 2 leave each row where it is
override ROTARY: u32 = 2u;

@group(0) @binding(0) var<storage, read> staged: array<u32>;
@group(0) @binding(1) var<storage, read> piece: array<u32>;

fn target_row(row: u32) -> u32 {
  let d = row % HEAD_DIM;
  let moved = row - d + (d % (ROTARY / 2u)) * 2u + d / (ROTARY / 2u);
  return BASE + select(row, moved, d < ROTARY) * STRIDE;
}

// The first unit of a block of a target row, in its quad; the row's place in a unit is row % 4.
fn first_unit(row: u32, block: u32) -> u32 {
  return (row / 4u * BLOCKS + block) * 4u;
}

// A whole word of the piece.
fn staged_word(i: u32) -> u32 {
  return staged[piece[2] + i];
}

// The 16 bits at an even byte offset of the piece.
fn half_at(byte: u32) -> u32 {
  return (staged_word(byte / 4u) >> (8u * (byte % 4u))) & 0xffffu;
}

// The 32 bits at an even byte offset of the piece.
fn word_at(byte: u32) -> u32 {
  return half_at(byte) | (half_at(byte + 2u) << 16u);
}
