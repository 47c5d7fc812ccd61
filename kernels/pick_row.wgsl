// Copies the row that step[1] names, the last one of a prefill chunk, to row 0, where the output layer
// reads it.
//
// Bindings  0 step  see epilogue/rope_append.wgsl
//           1 x     activations, rows padded to whole blocks
// Dispatch  ceil(BLOCKS * 8 / 64) workgroups

${enables}

override BLOCKS: u32;   // row length in blocks of 32

@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < BLOCKS * 8u && step[1] > 0u) {
    x[id.x] = x[step[1] * BLOCKS * 8u + id.x];
  }
}
