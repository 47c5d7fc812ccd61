// Embedding: y[m] = SCALE * row of the table for the token of row m, or for another of its words.
//
// Purpose   the first step of every forward pass; encoders add learned positions and token types
// Bindings  1 quants, 2 scales   the table's rows (the quantization reader declares them)
//           3 step     see epilogue/rope_append.wgsl
//           4 y        activations, f32, rows padded to whole blocks
// Dispatch  (ceil(UNITS / 64), rows) workgroups: a thread does 8 elements
// Assumes   words outside [ROW0, ROW0 + SLICE) belong to another slice's dispatch; rows past the
//           chunk's end are left alone

${enables}

override UNITS: u32;       // row length in units of 8 columns
override ROW0: u32 = 0u;   // the first row that this buffer holds
override SLICE: u32;       // how many rows it holds
override STEP_ROWS: u32;
override WORD: u32 = 0u;     // which word of a step's row names the table's: 0 token, 1 position
override ADD: bool = false;  // to what stands in y
override SCALE: f32 = 1.0;   // of the table's rows

@group(0) @binding(3) var<storage, read> step: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

${quant}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let m = id.y;
  let u = id.x;
  if (m >= step[0] || u >= UNITS) {
    return;
  }
  let row = step[STEP_ROWS + 4u * m + WORD] - ROW0;  // wraps past SLICE for a smaller one
  if (row >= SLICE) {
    return;
  }
  let w = row_unit(row, u);
  let at = (m * UNITS + u) * 2u;
  if (ADD) {
    y[at] += SCALE * w[0];
    y[at + 1u] += SCALE * w[1];
  } else {
    y[at] = SCALE * w[0];
    y[at + 1u] = SCALE * w[1];
  }
}
