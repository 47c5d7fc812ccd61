// Rows to other places, several of them side by side in one: y[to] = (x[at 0], x[at 1], ...).
//
// Purpose   neighbouring patches of an image joined; an image's rows kept, and put where its tokens stand
// Bindings  0 x     f32, rows of X_STRIDE elements
//           1 more  rows of MORE_STRIDE elements, which count on from MORE_AT
//           2 map   words: how many rows, three that are not looked at; then for each row the numbers of
//                   PIECES rows, and where they go
//           3 y     f32, rows of Y_STRIDE elements
// Dispatch  (ceil(PIECES * COLUMNS / 4 / 64), most rows) workgroups
// Assumes   COLUMNS, of each piece, and all strides are multiples of 4

${enables}

override PIECES: u32;
override COLUMNS: u32;
override X_STRIDE: u32;
override Y_STRIDE: u32;
override MORE_AT: u32;
override MORE_STRIDE: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> more: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> map: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let width = COLUMNS / 4u;
  if (id.y >= map[0] || id.x >= PIECES * width) {
    return;
  }
  let entry = 4u + id.y * (PIECES + 1u);
  let row = map[entry + id.x / width];
  let column = id.x % width;
  let to = map[entry + PIECES] * (Y_STRIDE / 4u) + id.x;
  if (row >= MORE_AT) {
    y[to] = more[(row - MORE_AT) * (MORE_STRIDE / 4u) + column];
  } else {
    y[to] = x[row * (X_STRIDE / 4u) + column];
  }
}
