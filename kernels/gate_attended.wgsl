// Attention's result times the sigmoid of its gates: y[m][i] *= sigmoid(x[m][GATES_AT + i]).
//
// Bindings  0 x  [rows][X_STRIDE], f32: q, k, v, gates
//           1 y  [rows][Y_STRIDE], f32
// Dispatch  (ceil(WIDTH / 64), rows) workgroups

${enables}

override WIDTH: u32;
override X_STRIDE: u32;
override GATES_AT: u32;
override Y_STRIDE: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < WIDTH) {
    y[id.y * Y_STRIDE + id.x] /= 1.0 + exp(-x[id.y * X_STRIDE + GATES_AT + id.x]);
  }
}
