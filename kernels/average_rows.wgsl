// Averages of several rows each: y[to] = (x[at 0] + x[at 1] + ...) / PIECES.
//
// Purpose   squares of an image's patches pooled
// Bindings  0 x    f32, rows of X_STRIDE elements
//           1 map  as move_rows.wgsl has it
//           2 y    f32, rows of Y_STRIDE elements
// Dispatch  (ceil(COLUMNS / 4 / 64), most rows) workgroups
// Assumes   COLUMNS and both strides are multiples of 4

${enables}

override PIECES: u32;
override COLUMNS: u32;
override X_STRIDE: u32;
override Y_STRIDE: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> map: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.y >= map[0] || id.x >= COLUMNS / 4u) {
    return;
  }
  let entry = 4u + id.y * (PIECES + 1u);
  var sum = vec4<f32>();
  for (var piece = 0u; piece < PIECES; piece++) {
    sum += x[map[entry + piece] * (X_STRIDE / 4u) + id.x];
  }
  y[map[entry + PIECES] * (Y_STRIDE / 4u) + id.x] = sum / f32(PIECES);
}
