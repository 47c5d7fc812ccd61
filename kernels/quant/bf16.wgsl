// Reader of bfloat16 weights, two to a u32. A block is 32 consecutive elements of a row: 4 vec4.
// weights8(block, part): elements 8*part .. 8*part+7.  dot_block(block): sum of weights * x_block.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

fn unpack4(a: u32, b: u32) -> vec4<f32> {
  return vec4(bitcast<f32>(a << 16u), bitcast<f32>(a & 0xffff0000u),
              bitcast<f32>(b << 16u), bitcast<f32>(b & 0xffff0000u));
}

fn unpack8(packed: vec4<u32>) -> array<vec4<f32>, 2> {
  return array(unpack4(packed.x, packed.y), unpack4(packed.z, packed.w));
}

fn weights8(block: u32, part: u32) -> array<vec4<f32>, 2> {
  return unpack8(quants[block * 4u + part]);
}

fn dot8(packed: vec4<u32>, x0: vec4<f32>, x1: vec4<f32>) -> f32 {
  let w = unpack8(packed);
  return dot(w[0], x0) + dot(w[1], x1);
}

fn dot_block(block: u32) -> f32 {
  let at = block * 4u;
  return dot8(quants[at], x_block[0], x_block[1]) + dot8(quants[at + 1u], x_block[2], x_block[3])
       + dot8(quants[at + 2u], x_block[4], x_block[5]) + dot8(quants[at + 3u], x_block[6], x_block[7]);
}
