// Reader of float32 weights. A block is 32 consecutive elements of a row: 8 vec4.
// weights8(block, part): elements 8*part .. 8*part+7.  dot_block(block): sum of weights * x_block.

@group(0) @binding(1) var<storage, read> quants: array<vec4<f32>>;

fn weights8(block: u32, part: u32) -> array<vec4<f32>, 2> {
  let at = block * 8u + part * 2u;
  return array(quants[at], quants[at + 1u]);
}

fn dot_block(block: u32) -> f32 {
  let at = block * 8u;
  return dot(quants[at], x_block[0]) + dot(quants[at + 1u], x_block[1])
       + dot(quants[at + 2u], x_block[2]) + dot(quants[at + 3u], x_block[3])
       + dot(quants[at + 4u], x_block[4]) + dot(quants[at + 5u], x_block[5])
       + dot(quants[at + 6u], x_block[6]) + dot(quants[at + 7u], x_block[7]);
}
