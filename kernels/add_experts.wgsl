// hidden[m] += RESIDUAL_SCALE * what its TOP experts answered, weighted, in the order of their scores.
//
// Purpose   the end of a mixture of experts in chunks of many rows
// Bindings  0 answers  [rows * TOP][UNITS] vec4<f32>: of each pair of a row and an expert
//           1 route    see route.wgsl
//           2 step     [0] rows that count; the others stay as they are
//           3 hidden   [rows][UNITS] vec4<f32>
// Dispatch  (ceil(UNITS / 64), rows) workgroups

${enables}

override UNITS: u32;  // row length in vec4
override TOP: u32;
override RESIDUAL_SCALE: f32 = 1.0;

@group(0) @binding(0) var<storage, read> answers: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> route: array<u32>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> hidden: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let m = id.y;
  if (id.x >= UNITS || m >= step[0]) {
    return;
  }
  var sum = vec4<f32>();
  for (var pair = m * TOP; pair < (m + 1u) * TOP; pair++) {
    sum += bitcast<f32>(route[2u * pair + 1u]) * answers[pair * UNITS + id.x];
  }
  hidden[m * UNITS + id.x] += RESIDUAL_SCALE * sum;
}
