// Many rows of activations times a weight matrix, without workgroup memory.
//
// Purpose   the linear layers of a prefill chunk on CPU adapters: a CPU runs the threads of a
//           workgroup in turn, so barriers are dear, and its caches do what tiles are for
// Bindings  as gemm.wgsl
// Dispatch  (ceil(SLICE / 4 / 16), rows / 4) workgroups: a thread does 4 rows of x with a quad
// Assumes   x has a multiple of 4 rows; those past the chunk's end give results that nobody reads.
//           emit() takes pairs of rows (n, n + 1), n even.

${enables}

override UNITS: u32;   // row length in units of 8 columns

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

${quant}
${epilogue}
${finish}

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let tile = tile_of(id.y, 4u);
  let n = id.x * 4u;
  if (n >= w_rows() || !is_held(tile)) {
    return;
  }
  let m = tile.m0;
  let w_start = (w_quad(tile) + id.x) * UNITS;
  let x_starts = vec4(x_row(tile, m), x_row(tile, m + 1u), x_row(tile, m + 2u), x_row(tile, m + 3u))
               * UNITS * 2u;
  var sums: array<vec4<f32>, 4>;
  for (var u = 0u; u < UNITS; u++) {
    let w = unit_columns(w_start + u);
    for (var i = 0u; i < 4u; i++) {
      let at = x_starts[i] + 2u * u;
      let x0 = x[at];
      let x1 = x[at + 1u];
      sums[i] += x0.x * w[0] + x0.y * w[1] + x0.z * w[2] + x0.w * w[3]
               + x1.x * w[4] + x1.y * w[5] + x1.z * w[6] + x1.w * w[7];
    }
  }
  for (var quad = 0u; quad < lora_quads(); quad++) {
    let b = lora_columns(quad, n);
    for (var i = 0u; i < 4u; i++) {
      let low = lora_input(m + i, quad);
      sums[i] += low.x * b[0] + low.y * b[1] + low.z * b[2] + low.w * b[3];
    }
  }
  for (var i = 0u; i < 4u; i++) {
    emit_tile(tile, m + i, n, sums[i]);
  }
}
