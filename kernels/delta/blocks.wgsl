// Where what delta_blocks.wgsl finds of a block of BLOCK rows and a value head lies, in vec4:
// [BLOCK][BLOCK] what the rows' differences weigh in each other's, the same for what queries find,
// [BLOCK] what each row leaves of the state that the block begins with, [BLOCK] what the block's end leaves
// of each row.

const BLOCK: u32 = 32u;
const QUADS: u32 = BLOCK / 4u;
const ASKED_AT: u32 = BLOCK * QUADS;
const LEFT_AT: u32 = 2u * BLOCK * QUADS;
const KEPT_AT: u32 = LEFT_AT + QUADS;

fn block_at(block: u32, head: u32) -> u32 {
  return (block * V_HEADS + head) * (KEPT_AT + QUADS);
}
