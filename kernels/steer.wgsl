// Adds a vector to every row of the residual stream.
//
// Bindings  0 vector  one row, f32
//           1 x       activations, rows padded to whole blocks
// Dispatch  (ceil(BLOCKS * 8 / 64), rows) workgroups

${enables}

override BLOCKS: u32;   // row length in blocks of 32

@group(0) @binding(0) var<storage, read> vector: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < BLOCKS * 8u) {
    x[id.y * BLOCKS * 8u + id.x] += vector[id.x];
  }
}
