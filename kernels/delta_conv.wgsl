// The causal convolution of a gated delta net (arXiv 2412.06464), four positions wide, by channel, then
// SiLU; queries and keys are brought to length 1, and queries divided by sqrt(K_DIM).
//
// Bindings  0 x        [rows], see delta/states.wgsl
//           1 weight   f32: four a channel, the oldest position's first
//           2 step     see delta/states.wgsl
//           3 states   f32, see there
//           4 y        [rows][channels], f32
// Dispatch  (2 * K_HEADS + V_HEADS, rows) workgroups, one a head
// Assumes   rows of a sequence follow each other

${enables}

override LANES: u32;    // THREADS
override THREADS: u32;  // a power of two

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read> states: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

${states}
${delta/past}
${activation}
${lanes}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.y;
  if (m >= step[0]) {
    return;
  }
  let head = group.x;
  let is_value = head >= 2u * K_HEADS;
  let first = select(head * K_DIM, 2u * K_HEADS * K_DIM + (head - 2u * K_HEADS) * V_DIM, is_value);
  let length = select(K_DIM, V_DIM, is_value);
  var squares = 0.0;
  for (var i = thread; i < length; i += THREADS) {
    let c = first + i;
    let past = vec4(before(m, 3u, c), before(m, 2u, c), before(m, 1u, c), row_input(m, c));
    let v = activated(dot(past, weight[c]));
    squares += v * v;
    y[m * channels() + c] = v;
  }
  let total = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
  if (is_value) {
    return;
  }
  var factor = inverseSqrt(total + 1e-6);
  if (head < K_HEADS) {
    factor *= inverseSqrt(f32(K_DIM));
  }
  for (var i = thread; i < length; i += THREADS) {
    y[m * channels() + first + i] *= factor;
  }
}
