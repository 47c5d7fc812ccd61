// Reader of Q8_0: 32 weights = scale * int8, one f16 scale a block.
// Repacked (kernels/repack): four weights to a u32 in order, two vec4 a block; two scales to a u32.
// weights8(block, part): elements 8*part .. 8*part+7.  dot_block(block): sum of weights * x_block.

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

fn scale_of(block: u32) -> f32 {
  return unpack2x16float(scales[block / 2u] >> (16u * (block % 2u))).x;
}

fn bytes4(word: u32) -> vec4<f32> {
  return vec4<f32>(unpack4xI8(word));
}

fn weights8(block: u32, part: u32) -> array<vec4<f32>, 2> {
  let scale = scale_of(block);
  let q = quants[block * 2u + part / 2u];
  let words = select(q.xy, q.zw, part % 2u == 1u);
  return array(bytes4(words.x) * scale, bytes4(words.y) * scale);
}

fn dot_block(block: u32) -> f32 {
  let a = quants[block * 2u];
  let b = quants[block * 2u + 1u];
  return scale_of(block)
       * (dot(bytes4(a.x), x_block[0]) + dot(bytes4(a.y), x_block[1])
        + dot(bytes4(a.z), x_block[2]) + dot(bytes4(a.w), x_block[3])
        + dot(bytes4(b.x), x_block[4]) + dot(bytes4(b.y), x_block[5])
        + dot(bytes4(b.z), x_block[6]) + dot(bytes4(b.w), x_block[7]));
}
