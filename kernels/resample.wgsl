// One pass of a resized image, along its rows or its columns: each pixel is a weighted sum of neighbours.
//
// Purpose   images to the sizes that a vision model reads; Pillow's Image.resize to the bit
// Bindings  0 source   pixels, red in the lowest byte, then green, blue and one that is not looked at
//           1 weights  words: width of source, width and height of y, words of an entry; then from word
//                      4 on an entry for each pixel along the axis: first neighbour, how many there are,
//                      and each one's weight times 2^22
//           2 y        pixels likewise
// Dispatch  (ceil(width of y / 64), height of y) workgroups
// Assumes   weights of a pixel whose absolute values add up to less than 2, so that sums stay in an i32

${enables}

override VERTICAL: bool;

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

const HALF = 2097152;  // 2^21

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let width = u32(weights[1]);
  if (id.x >= width || id.y >= u32(weights[2])) {
    return;
  }
  let entry = 4u + select(id.x, id.y, VERTICAL) * u32(weights[3]);
  let start = u32(weights[entry]);
  let count = u32(weights[entry + 1u]);
  let stride = u32(weights[0]);
  var at = select(id.y * stride + start, start * stride + id.x, VERTICAL);
  var sum = vec3(HALF);
  for (var i = 0u; i < count; i++) {
    let pixel = source[at];
    let weight = weights[entry + 2u + i];
    sum += weight * vec3(i32(pixel & 255u), i32((pixel >> 8u) & 255u), i32((pixel >> 16u) & 255u));
    at += select(1u, stride, VERTICAL);
  }
  let value = vec3<u32>(clamp(sum >> vec3(22u), vec3(0), vec3(255)));
  y[id.y * width + id.x] = value.x | (value.y << 8u) | (value.z << 16u) | (255u << 24u);
}
