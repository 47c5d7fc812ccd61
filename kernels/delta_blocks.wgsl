// What rows of a block mean to each other under the gated delta rule, whatever the state before them: the
// chunkwise form of arXiv 2412.06464 (the UT transform of arXiv 2406.06484), for delta_chunk.wgsl.
//
// With G_t the sum of the logarithms of the decays up to row t, L[t][s] = step_t * exp(G_t - G_s) * k_t . k_s
// for s < t. What the rows change is D = (I + L)^-1 diag(step) (v - diag(exp(G)) K S), S the state before
// them; and their queries find diag(exp(G)) Q S + A D, A[t][s] = exp(G_t - G_s) * q_t . k_s for s <= t.
//
// Purpose   prefill chunks of layers that keep a state instead of keys and values
// Bindings  0 x       [rows], see delta/states.wgsl: of it the heads' gates are read
//           1 gates   f32: see delta/gates.wgsl
//           2 step    see delta/states.wgsl
//           3 qkv     [rows][channels], f32: as delta_conv.wgsl leaves them
//           4 blocks  see delta/blocks.wgsl: (I + L)^-1 diag(step), A, exp(G), exp(G_last - G)
// Dispatch  (ceil(rows / BLOCK), V_HEADS) workgroups
// Assumes   all rows are of one sequence
//
// A thread has a tile of 4 x 4 of the two matrices of products, then half of them a column of the inverse.

${enables}

@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> blocks: array<vec4<f32>>;

${states}
${delta/gates}
${delta/heads}
${delta/blocks}

var<workgroup> decays: array<f32, BLOCK>;        // their logarithms; 0 past the last row
var<workgroup> sizes: array<f32, BLOCK>;         // of steps, likewise
var<workgroup> lower: array<f32, BLOCK * BLOCK>;
var<workgroup> inverse: array<f32, BLOCK * BLOCK>;

fn dots(a: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
  return vec4(dot(a, b0), dot(a, b1), dot(a, b2), dot(a, b3));
}

// The sum of decays from one row to another, both among them. Differences of sums from the block's begin
// would lose digits behind rows that leave next to nothing.
fn decay_between(first: u32, last: u32) -> f32 {
  var sum = 0.0;
  for (var t = first; t <= last; t++) {
    sum += decays[t];
  }
  return sum;
}

fn decay_until(t: u32, last: u32) -> f32 {
  return select(0.0, decays[t], t <= last);
}

// Row t's products with four keys, from s on.
fn write_products(base: u32, t: u32, s: u32, keys: vec4<f32>, queries: vec4<f32>) {
  let w = decay_between(s + 4u, t);
  let z = w + decay_until(s + 3u, t);
  let y = z + decay_until(s + 2u, t);
  let left = exp(vec4(y + decay_until(s + 1u, t), y, z, w));
  let before = vec4(s, s + 1u, s + 2u, s + 3u);
  blocks[base + ASKED_AT + t * QUADS + s / 4u] =
      select(vec4<f32>(), left * queries, before <= vec4(t));
  let v = sizes[t] * left * keys;
  lower[t * BLOCK + s] = v.x;
  lower[t * BLOCK + s + 1u] = v.y;
  lower[t * BLOCK + s + 2u] = v.z;
  lower[t * BLOCK + s + 3u] = v.w;
}

// A column of (I + L)^-1 diag(step), by forward substitution.
fn invert(column: u32) {
  for (var t = 0u; t < column; t++) {
    inverse[t * BLOCK + column] = 0.0;
  }
  inverse[column * BLOCK + column] = sizes[column];
  for (var t = column + 1u; t < BLOCK; t++) {
    var sum = 0.0;
    for (var s = column; s < t; s++) {
      sum += lower[t * BLOCK + s] * inverse[s * BLOCK + column];
    }
    inverse[t * BLOCK + column] = -sum;
  }
}

fn write_inverse(base: u32, t: u32, s: u32) {
  let at = t * BLOCK + s;
  blocks[base + t * QUADS + s / 4u] =
      vec4(inverse[at], inverse[at + 1u], inverse[at + 2u], inverse[at + 3u]);
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let head = group.y;
  let m0 = group.x * BLOCK;
  let rows = step[0];
  if (m0 >= rows) {
    return;
  }
  if (thread < BLOCK) {
    let m = min(m0 + thread, rows - 1u);
    let inside = m0 + thread < rows;
    decays[thread] = select(0.0, log_decay(m, head), inside);
    sizes[thread] = select(0.0, step_size(m, head), inside);
  }
  workgroupBarrier();
  let base = block_at(group.x, head);
  let t = thread / QUADS * 4u;
  let s = thread % QUADS * 4u;
  if (s <= t) {
    let stride = channels() / 4u;
    let query = key_head(head) * K_DIM / 4u;
    let key = query + K_HEADS * K_DIM / 4u;
    let last = rows - 1u;
    let t0 = min(m0 + t, last) * stride;
    let t1 = min(m0 + t + 1u, last) * stride;
    let t2 = min(m0 + t + 2u, last) * stride;
    let t3 = min(m0 + t + 3u, last) * stride;
    let s0 = min(m0 + s, last) * stride + key;
    let s1 = min(m0 + s + 1u, last) * stride + key;
    let s2 = min(m0 + s + 2u, last) * stride + key;
    let s3 = min(m0 + s + 3u, last) * stride + key;
    var k0 = vec4<f32>(); var q0 = vec4<f32>();
    var k1 = vec4<f32>(); var q1 = vec4<f32>();
    var k2 = vec4<f32>(); var q2 = vec4<f32>();
    var k3 = vec4<f32>(); var q3 = vec4<f32>();
    for (var i = 0u; i < K_DIM / 4u; i++) {
      let b0 = qkv[s0 + i];
      let b1 = qkv[s1 + i];
      let b2 = qkv[s2 + i];
      let b3 = qkv[s3 + i];
      k0 += dots(qkv[t0 + key + i], b0, b1, b2, b3);
      q0 += dots(qkv[t0 + query + i], b0, b1, b2, b3);
      k1 += dots(qkv[t1 + key + i], b0, b1, b2, b3);
      q1 += dots(qkv[t1 + query + i], b0, b1, b2, b3);
      k2 += dots(qkv[t2 + key + i], b0, b1, b2, b3);
      q2 += dots(qkv[t2 + query + i], b0, b1, b2, b3);
      k3 += dots(qkv[t3 + key + i], b0, b1, b2, b3);
      q3 += dots(qkv[t3 + query + i], b0, b1, b2, b3);
    }
    write_products(base, t, s, k0, q0);
    write_products(base, t + 1u, s, k1, q1);
    write_products(base, t + 2u, s, k2, q2);
    write_products(base, t + 3u, s, k3, q3);
  }
  workgroupBarrier();
  if (thread < BLOCK) {
    invert(thread);
  }
  workgroupBarrier();
  write_inverse(base, t, s);
  write_inverse(base, t + 1u, s);
  write_inverse(base, t + 2u, s);
  write_inverse(base, t + 3u, s);
  if (thread < QUADS) {
    let at = 4u * thread;
    let last = BLOCK - 1u;
    blocks[base + LEFT_AT + thread] =
        exp(vec4(decay_between(0u, at), decay_between(0u, at + 1u), decay_between(0u, at + 2u),
                 decay_between(0u, at + 3u)));
    blocks[base + KEPT_AT + thread] =
        exp(vec4(decay_between(at + 1u, last), decay_between(at + 2u, last),
                 decay_between(at + 3u, last), decay_between(at + 4u, last)));
  }
}
