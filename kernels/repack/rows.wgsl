// Where a source row goes: which rows of a staged piece this dispatch has, and their target rows.
// piece: [0] rows in the piece, [1] number of its first row within the tensor.
// Tensors that share a fused matrix start at BASE and take every STRIDE-th row. With HEAD_DIM, the
// first ROTARY rows of each head go from half-split order (i, i + ROTARY / 2 are a pair) to adjacent.

override BLOCKS: u32;        // target row length in blocks of 32
override K: u32;             // source row length, in elements
override BASE: u32 = 0u;
override STRIDE: u32 = 1u;
override HEAD_DIM: u32 = 0u;
override ROTARY: u32 = 0u;

@group(0) @binding(0) var<storage, read> staged: array<u32>;
@group(0) @binding(1) var<storage, read> piece: array<u32>;

fn target_row(row: u32) -> u32 {
  var r = row;
  if (HEAD_DIM > 0u) {
    let d = row % HEAD_DIM;
    if (d < ROTARY) {
      r = row - d + (d % (ROTARY / 2u)) * 2u + d / (ROTARY / 2u);
    }
  }
  return BASE + r * STRIDE;
}

// The 16 bits at an even byte offset of the piece.
fn half_at(byte: u32) -> u32 {
  return (staged[byte / 4u] >> (8u * (byte % 4u))) & 0xffffu;
}

// The 32 bits at an even byte offset of the piece.
fn word_at(byte: u32) -> u32 {
  return half_at(byte) | (half_at(byte + 2u) << 16u);
}
