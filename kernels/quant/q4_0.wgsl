// Reader of Q4_0: 32 weights = scale * (nibble - 8), one f16 scale a block.
// Repacked (kernels/repack): word j of a block's vec4 holds elements 8j .. 8j+7, the low nibbles of
// its bytes the first four and the high nibbles the last four. Two scales to a u32.
// weights8(block, part): elements 8*part .. 8*part+7.  dot_block(block): sum of weights * x_block.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

fn scale_of(block: u32) -> f32 {
  return unpack2x16float(scales[block / 2u] >> (16u * (block % 2u))).x;
}

fn nibbles(word: u32) -> array<vec4<f32>, 2> {
  return array(vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)),
               vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)));
}

fn weights8(block: u32, part: u32) -> array<vec4<f32>, 2> {
  let scale = scale_of(block);
  let q = nibbles(quants[block][part]);
  return array((q[0] - 8.0) * scale, (q[1] - 8.0) * scale);
}

fn dot8(word: u32, x0: vec4<f32>, x1: vec4<f32>) -> f32 {
  let q = nibbles(word);
  return dot(q[0] - 8.0, x0) + dot(q[1] - 8.0, x1);
}

fn dot_block(block: u32) -> f32 {
  let q = quants[block];
  return scale_of(block)
       * (dot8(q.x, x_block[0], x_block[1]) + dot8(q.y, x_block[2], x_block[3])
        + dot8(q.z, x_block[4], x_block[5]) + dot8(q.w, x_block[6], x_block[7]));
}
