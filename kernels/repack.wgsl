// Loading: rows of a staged piece of a file to their target rows, in the layout of a reader.
//
// Bindings  0 staged  the piece's bytes, as the file has them
//           1 piece   [0] rows in the piece, [1] number of its first row within the tensor,
//                     [2] the word of staged that it begins at
//           2 quants, 3 scales   out: the format's buffers, zeros at first (it declares them)
// Dispatch  a thread a block of 32 columns
//
// The order says which block a thread has: repack/by_rows, or repack/by_columns.
// The format's file has store_block(source, row, unit): it takes block number source of the piece to
// a target row, whose first unit there it is given; the row's place in a unit is row % 4. Targets lie
// in quads of rows and units of 4 rows x 8 columns: see quant/f32.wgsl.
// Tensors that share a fused matrix start at BASE and take every STRIDE-th row. The first ROTARY
// rows of each head of HEAD_DIM go from half-split order (i, i + ROTARY / 2 are a pair) to adjacent.

${enables}

override BLOCKS: u32;        // target row length in blocks of 32
override K: u32;             // source row length, in elements
override BASE: u32 = 0u;
override STRIDE: u32 = 1u;
override HEAD_DIM: u32 = 1u;  // 1 and 2 leave each row where it is
override ROTARY: u32 = 2u;

@group(0) @binding(0) var<storage, read> staged: array<u32>;
@group(0) @binding(1) var<storage, read> piece: array<u32>;

${order}
${format}

fn target_row(row: u32) -> u32 {
  let d = row % HEAD_DIM;
  let moved = row - d + (d % (ROTARY / 2u)) * 2u + d / (ROTARY / 2u);
  return BASE + select(row, moved, d < ROTARY) * STRIDE;
}

// A whole word of the piece.
fn staged_word(i: u32) -> u32 {
  return staged[piece[2] + i];
}

// The 8 bits at a byte offset of the piece.
fn byte_at(byte: u32) -> u32 {
  return (staged_word(byte / 4u) >> (8u * (byte % 4u))) & 0xffu;
}

// The 16 bits at an even byte offset of the piece.
fn half_at(byte: u32) -> u32 {
  return (staged_word(byte / 4u) >> (8u * (byte % 4u))) & 0xffffu;
}

// The 32 bits at a byte offset of the piece.
fn word_at(byte: u32) -> u32 {
  let shift = 8u * (byte % 4u);
  let low = staged_word(byte / 4u) >> shift;
  if (shift == 0u) {
    return low;
  }
  return low | (staged_word(byte / 4u + 1u) << (32u - shift));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= blocks_of_piece()) {
    return;
  }
  let row = target_row(row_of(id.x));
  store_block(id.x, row, (row / 4u * BLOCKS + block_of(id.x)) * 4u);
}
