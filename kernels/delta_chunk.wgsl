// The gated delta rule over a chunk of rows, a block at a time (arXiv 2412.06464): what delta_rule.wgsl
// does row by row, with the products of a block's rows from delta_blocks.wgsl.
//
// Of a block, K S and Q S are found, then what its rows change D = T (v - diag(exp(G)) K S), then what its
// queries find, y = diag(exp(G)) Q S + A D, and at last S = exp(G_last) S + (diag(exp(G_last - G)) K)^T D.
//
// Purpose   prefill chunks of layers that keep a state instead of keys and values
// Bindings  0 blocks  see delta/blocks.wgsl: T, A, exp(G), exp(G_last - G)
//           2 step    see delta/states.wgsl
//           3 states  f32, see there
//           4 qkv     [rows][channels], f32: as delta_conv.wgsl leaves them
//           5 y       [rows][V_HEADS * V_DIM], f32
// Dispatch  (ceil(V_DIM / 8), V_HEADS) workgroups
// Assumes   all rows are of one sequence. At position 0 a state is nothing, whatever stands there.
//
// A workgroup keeps 8 columns of S in its memory over all rows. A thread has 4 of them: of a row of the block,
// then of 4 rows of S (or 8, where K_DIM is 256).

${enables}

@group(0) @binding(0) var<storage, read> blocks: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

${states}
${delta/heads}
${delta/blocks}

var<workgroup> errors: array<vec4<f32>, 2u * BLOCK>;   // [row][4 columns]: v - diag(exp(G)) K S
var<workgroup> changes: array<vec4<f32>, 2u * BLOCK>;  // D
var<workgroup> kept: array<vec4<f32>, 2u * BLOCK>;     // what the block's end leaves of it
var<workgroup> s: array<vec4<f32>, 2u * K_DIM>;        // [row][4 columns]

// Four rows of S, from row 4 * i on, and the same four columns of these as the state has them.
struct Part {
  a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
}

fn part(i: u32, half: u32) -> Part {
  let at = 8u * i + half;
  return Part(s[at], s[at + 2u], s[at + 4u], s[at + 6u]);
}

fn set_part(i: u32, half: u32, p: Part) {
  let at = 8u * i + half;
  s[at] = p.a;
  s[at + 2u] = p.b;
  s[at + 4u] = p.c;
  s[at + 6u] = p.d;
}

fn turned(p: Part) -> Part {
  let m = transpose(mat4x4(p.a, p.b, p.c, p.d));
  return Part(m[0], m[1], m[2], m[3]);
}

fn times(v: vec4<f32>, p: Part) -> vec4<f32> {
  return v.x * p.a + v.y * p.b + v.z * p.c + v.w * p.d;
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let rows = step[0];
  let head = group.y;
  let half = thread % 2u;
  let t = thread / 2u;
  let wanted = group.x * 8u + half * 4u;
  let inside = wanted < V_DIM;
  let column = head * V_DIM + min(wanted, V_DIM - 4u);
  let stride = channels() / 4u;
  let query = key_head(head) * K_DIM / 4u;
  let key = query + K_HEADS * K_DIM / 4u;
  let value = (2u * K_HEADS * K_DIM + column) / 4u;
  let state = (state_of(0u) + PAST * channels() + column * K_DIM) / 4u;
  for (var i = t; i < K_DIM / 4u; i += BLOCK) {
    var p = Part();
    if (position_of(0u) > 0u) {
      let at = state + i;
      p = turned(Part(states[at], states[at + K_DIM / 4u], states[at + K_DIM / 2u],
                      states[at + 3u * K_DIM / 4u]));
    }
    set_part(i, half, p);
  }
  workgroupBarrier();
  for (var m0 = 0u; m0 < rows; m0 += BLOCK) {
    let base = block_at(m0 / BLOCK, head);
    let row = min(m0 + t, rows - 1u) * stride;
    var k_found = vec4<f32>();
    var q_found = vec4<f32>();
    for (var i = 0u; i < K_DIM / 4u; i++) {
      let p = part(i, half);
      k_found += times(qkv[row + key + i], p);
      q_found += times(qkv[row + query + i], p);
    }
    let left = blocks[base + LEFT_AT + t / 4u][t % 4u];
    errors[thread] = qkv[row + value] - left * k_found;
    workgroupBarrier();
    var change = vec4<f32>();
    for (var i = 0u; i <= t / 4u; i++) {
      let at = 8u * i + half;
      let p = Part(errors[at], errors[at + 2u], errors[at + 4u], errors[at + 6u]);
      change += times(blocks[base + t * QUADS + i], p);
    }
    changes[thread] = change;
    kept[thread] = blocks[base + KEPT_AT + t / 4u][t % 4u] * change;
    workgroupBarrier();
    var found = left * q_found;
    for (var i = 0u; i <= t / 4u; i++) {
      let at = 8u * i + half;
      let p = Part(changes[at], changes[at + 2u], changes[at + 4u], changes[at + 6u]);
      found += times(blocks[base + ASKED_AT + t * QUADS + i], p);
    }
    if (inside && m0 + t < rows) {
      y[((m0 + t) * V_HEADS * V_DIM + column) / 4u] = found;
    }
    let decay = blocks[base + KEPT_AT - 1u].w;
    let count = min(BLOCK, rows - m0);
    for (var i = t; i < K_DIM / 4u; i += BLOCK) {
      var p = part(i, half);
      p = Part(decay * p.a, decay * p.b, decay * p.c, decay * p.d);
      for (var n = 0u; n < count; n++) {
        let k = qkv[(m0 + n) * stride + key + i];
        let v = kept[2u * n + half];
        p = Part(p.a + k.x * v, p.b + k.y * v, p.c + k.z * v, p.d + k.w * v);
      }
      set_part(i, half, p);
    }
    workgroupBarrier();
  }
  for (var i = t; i < K_DIM / 4u; i += BLOCK) {
    if (inside) {
      let p = turned(part(i, half));
      let at = state + i;
      states[at] = p.a;
      states[at + K_DIM / 4u] = p.b;
      states[at + K_DIM / 2u] = p.c;
      states[at + 3u * K_DIM / 4u] = p.d;
    }
  }
}
