// Reader of Q4_1: 32 weights = scale * nibble + minimum, an f16 scale and an f16 minimum a block.
// Repacked (kernels/repack) as Q4_0 is; scale and minimum share a u32.
// weights8(block, part): elements 8*part .. 8*part+7.  dot_block(block): sum of weights * x_block.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

fn nibbles(word: u32) -> array<vec4<f32>, 2> {
  return array(vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)),
               vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)));
}

fn weights8(block: u32, part: u32) -> array<vec4<f32>, 2> {
  let scale = unpack2x16float(scales[block]);
  let q = nibbles(quants[block][part]);
  return array(q[0] * scale.x + scale.y, q[1] * scale.x + scale.y);
}

fn dot8(word: u32, scale: vec2<f32>, x0: vec4<f32>, x1: vec4<f32>) -> f32 {
  let q = nibbles(word);
  return dot(q[0] * scale.x + scale.y, x0) + dot(q[1] * scale.x + scale.y, x1);
}

fn dot_block(block: u32) -> f32 {
  let q = quants[block];
  let scale = unpack2x16float(scales[block]);
  return dot8(q.x, scale, x_block[0], x_block[1]) + dot8(q.y, scale, x_block[2], x_block[3])
       + dot8(q.z, scale, x_block[4], x_block[5]) + dot8(q.w, scale, x_block[6], x_block[7]);
}
