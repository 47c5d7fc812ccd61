// Square patches of a part of an image as rows: y[ROW0 + patch][channel][line][column] = (pixel / 255 -
// mean) / deviation. The first layer of a vision tower, a convolution without overlap, is a GEMM of them.
//
// Bindings  0 pixels   see resample.wgsl
//           1 tile     words: width and height of the image, then where the tile's left upper corner is
//           2 y        f32, rows padded with zeros to whole blocks of 32
// Dispatch  (ceil(8 * UNITS / 64), GRID * GRID) workgroups
// Assumes   what lies outside the image is white

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

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> tile: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let column = id.x;
  if (column >= 8u * UNITS) {
    return;
  }
  let at = (ROW0 + id.y) * 8u * UNITS + column;
  let channel = column / (PATCH * PATCH);
  if (channel > 2u) {
    y[at] = 0.0;
    return;
  }
  let inner = column % (PATCH * PATCH);
  let px = tile[2] + i32(id.y % GRID * PATCH + inner % PATCH);
  let py = tile[3] + i32(id.y / GRID * PATCH + inner / PATCH);
  var value = 255u;
  if (px >= 0 && px < tile[0] && py >= 0 && py < tile[1]) {
    value = (pixels[u32(py * tile[0] + px)] >> (8u * channel)) & 255u;
  }
  let mean = vec3(MEAN_R, MEAN_G, MEAN_B);
  let deviation = vec3(DEVIATION_R, DEVIATION_G, DEVIATION_B);
  y[at] = (f32(value) / 255.0 - mean[channel]) / deviation[channel];
}
