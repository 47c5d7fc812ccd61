// Square patches of a part of an image as rows: y[ROW0 + patch][channel][line][column] = (pixel / 255 -
// mean) / deviation. The first layer of a vision tower, a convolution without overlap, is a GEMM of them.
//
// Bindings  0 pixels   see resample.wgsl
//           1 tile     words: width and height of the image, where the left upper corner of what is seen
//                      lies, and how wide and high that is
//           2 y        f32, rows padded with zeros to whole blocks of 32
// Dispatch  (ceil(8 * UNITS / 64), GRID * GRID) workgroups
// Assumes   what lies outside the image is white. Without CUBIC what is seen is as large as the tile
//
// CUBIC shrinks what is seen to the tile as PyTorch's interpolate does: four pixels along an axis, weighted
// with a = -0.75 and without a filter, those beyond its border being the last ones.

${enables}

override PATCH: u32;      // pixels along a side of a patch
override GRID: u32;       // patches along a side of the tile
override UNITS: u32;      // row length in units of 8 columns
override ROW0: u32;
override MEAN_R: f32;
override MEAN_G: f32;
override MEAN_B: f32;
override DEVIATION_R: f32;
override DEVIATION_G: f32;
override DEVIATION_B: f32;
override CUBIC: bool = false;

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> tile: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// A colour, 0 to 255, of what is seen.
fn colour(at: vec2<i32>, channel: u32) -> f32 {
  let p = clamp(at, vec2(0), vec2(tile[4], tile[5]) - 1) + vec2(tile[2], tile[3]);
  if (any(p < vec2(0)) || any(p >= vec2(tile[0], tile[1]))) {
    return 255.0;
  }
  return f32((pixels[u32(p.y * tile[0] + p.x)] >> (8u * channel)) & 255u);
}

// Weights of four neighbours, t past the second one.
fn cubic(t: f32) -> vec4<f32> {
  const A = -0.75;
  let far = vec2(t + 1.0, 2.0 - t);
  let near = vec2(t, 1.0 - t);
  let outer = ((A * far - 5.0 * A) * far + 8.0 * A) * far - 4.0 * A;
  let inner = ((A + 2.0) * near - (A + 3.0)) * near * near + 1.0;
  return vec4(outer.x, inner.x, inner.y, outer.y);
}

fn shrunk(at: vec2<u32>, channel: u32) -> f32 {
  let scale = vec2(f32(tile[4]), f32(tile[5])) / f32(GRID * PATCH);
  let place = scale * (vec2<f32>(at) + 0.5) - 0.5;
  let first = floor(place);
  let across = cubic(place.x - first.x);
  let down = cubic(place.y - first.y);
  var sum = 0.0;
  for (var i = 0; i < 4; i++) {
    var row = 0.0;
    for (var j = 0; j < 4; j++) {
      row += across[j] * colour(vec2<i32>(first) + vec2(j - 1, i - 1), channel);
    }
    sum += down[i] * row;
  }
  return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let column = id.x;
  if (column >= 8u * UNITS) {
    return;
  }
  let to = (ROW0 + id.y) * 8u * UNITS + column;
  let channel = column / (PATCH * PATCH);
  if (channel > 2u) {
    y[to] = 0.0;
    return;
  }
  let within = column % (PATCH * PATCH);
  let at = vec2(id.y % GRID, id.y / GRID) * PATCH + vec2(within % PATCH, within / PATCH);
  var value = 0.0;
  if (CUBIC) {
    value = shrunk(at, channel);
  } else {
    value = colour(vec2<i32>(at), channel);
  }
  let mean = vec3(MEAN_R, MEAN_G, MEAN_B);
  let deviation = vec3(DEVIATION_R, DEVIATION_G, DEVIATION_B);
  y[to] = (value / 255.0 - mean[channel]) / deviation[channel];
}
