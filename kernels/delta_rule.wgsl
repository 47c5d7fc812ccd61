// The gated delta rule (arXiv 2412.06464): the state S of a head, a matrix from keys to values, is
// for each row in turn S *= decay; S += k (step * (v - S^T k))^T; and its query finds y = S^T q.
//
// Purpose   decode steps and prefill chunks of layers that keep a state instead of keys and values
// Bindings  0 x       [rows], see delta/states.wgsl: of it the heads' gates are read
//           1 gates   f32: see delta/gates.wgsl
//           2 step    see delta/states.wgsl
//           3 states  f32, see there
//           4 qkv     [rows][channels], f32: as delta_conv.wgsl leaves them
//           5 y       [rows][V_HEADS * V_DIM], f32
// Dispatch  (ceil(V_HEADS * V_DIM * LANES / THREADS), 1, runs) workgroups: a workgroup takes the rows
//           of the sequence that row z is the first of, if it is; 1 where all rows are of one
// Assumes   rows of a sequence follow each other. At position 0 a state is nothing, whatever stands
//           there.
//
// LANES threads share a column of S, 16 elements each, which stay in registers over the rows. The
// next row's inputs are on their way while a row's sums are put together.

${enables}

override LANES: u32;    // K_DIM / 16
override THREADS: u32;

@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

${states}
${delta/gates}
${delta/heads}
${lanes}

// 16 elements of a key, a query, or a column.
struct Part {
  a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
}

struct Row {
  k: Part,
  q: Part,
  v: f32,
  decay: f32,
  size: f32,  // of the step
}

fn part(at: u32) -> Part {
  return Part(qkv[at], qkv[at + 1u], qkv[at + 2u], qkv[at + 3u]);
}

fn product(s: Part, t: Part) -> f32 {
  return dot(s.a, t.a) + dot(s.b, t.b) + dot(s.c, t.c) + dot(s.d, t.d);
}

fn row(m: u32, head: u32, column: u32, lane: u32) -> Row {
  let at = (m * channels() + key_head(head) * K_DIM) / 4u + 4u * lane;
  let value = m * channels() + 2u * K_HEADS * K_DIM + column;
  return Row(part(at + K_HEADS * K_DIM / 4u), part(at), qkv[value / 4u][value % 4u],
             exp(log_decay(m, head)), step_size(m, head));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m0 = group.z;
  let rows = step[0];
  if (m0 >= rows || follows(m0, 1u)) {
    return;
  }
  let lane = thread % LANES;
  let wanted = (group.x * THREADS + thread) / LANES;
  let inside = wanted < V_HEADS * V_DIM;
  let column = min(wanted, V_HEADS * V_DIM - 1u);
  let head = column / V_DIM;
  let at = (state_of(m0) + PAST * channels() + column * K_DIM) / 4u + 4u * lane;
  var s = Part();
  if (position_of(m0) > 0u) {
    s = Part(states[at], states[at + 1u], states[at + 2u], states[at + 3u]);
  }
  var next = row(m0, head, column, lane);
  for (var m = m0; m < rows && slot_of(m) == slot_of(m0); m++) {
    let r = next;
    next = row(min(m + 1u, rows - 1u), head, column, lane);
    let own = vec4(product(r.k, s), product(r.q, s), product(r.q, r.k), 0.0);
    let sums = lane_sum(own, thread);
    let delta = r.size * (r.v - r.decay * sums.x);
    s = Part(r.decay * s.a + delta * r.k.a, r.decay * s.b + delta * r.k.b,
             r.decay * s.c + delta * r.k.c, r.decay * s.d + delta * r.k.d);
    if (inside && lane == 0u) {
      y[m * V_HEADS * V_DIM + column] = r.decay * sums.y + delta * sums.z;
    }
  }
  if (inside) {
    states[at] = s.a;
    states[at + 1u] = s.b;
    states[at + 2u] = s.c;
    states[at + 3u] = s.d;
  }
}
