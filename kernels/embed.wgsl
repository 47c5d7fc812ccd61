// Token embedding: y[m] = row of the table for the token of row m.
//
// Purpose   the first step of every forward pass
// Bindings  1 quants, 2 scales   the table's rows (the quantization reader declares them)
//           3 step     see epilogue/rope_append.wgsl
//           4 y        activations, f32, rows padded to whole blocks
// Dispatch  (ceil(BLOCKS * 4 / 64), rows) workgroups: a thread does 8 elements
// Assumes   tokens outside [ROW0, ROW0 + SLICE) belong to another slice's dispatch; rows past the
//           chunk's end are left alone

${enables}

override BLOCKS: u32;      // row length in blocks of 32
override ROW0: u32 = 0u;   // the first row that this buffer holds
override SLICE: u32;       // how many rows it holds
override STEP_ROWS: u32;

@group(0) @binding(3) var<storage, read> step: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

var<private> x_block: array<vec4<f32>, 8>;  // for the readers' dot_block, not used here

${quant}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let m = id.y;
  let part = id.x;
  if (m >= step[0] || part >= BLOCKS * 4u) {
    return;
  }
  let row = step[STEP_ROWS + 4u * m] - ROW0;  // wraps past SLICE for a smaller token
  if (row >= SLICE) {
    return;
  }
  let w = weights8(row * BLOCKS + part / 4u, part % 4u);
  let at = (m * BLOCKS * 4u + part) * 2u;
  y[at] = w[0];
  y[at + 1u] = w[1];
}
