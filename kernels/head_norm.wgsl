// RMSNorm of queries and keys (arXiv 2302.05442), of each head or of all heads together (WHOLE), or
// LayerNorm of each head with weights of its own (OWN); then what the epilogue does to them and to
// values.
//
// Purpose   between the projection of q, k and v and the attention of models that norm both
// Bindings  0 x       [rows][X_STRIDE], f32: (HEADS + 2 * KV_HEADS) * HEAD_DIM of q, k, v
//           3 weight  f32: HEAD_DIM elements for queries, then as many for keys; with WHOLE or OWN
//                     one for every element of them
//           4..7      the epilogue's, see epilogue/rope_append.wgsl
// Dispatch  (heads of q, k and v, rows) workgroups; with WHOLE (3, rows)

${enables}

override EPS: f32;
override WHOLE: bool;
override OWN: bool = false;
override X_STRIDE: u32;  // row length of x
override LANES: u32;    // THREADS
override THREADS: u32;  // a power of two

@group(0) @binding(0) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec2<f32>>;

${epilogue}
${lanes}

fn weight_of(n: u32) -> vec2<f32> {
  if (WHOLE || OWN) {
    return weight[n / 2u];
  }
  return weight[(n % HEAD_DIM + select(HEAD_DIM, 0u, n < HEADS * HEAD_DIM)) / 2u];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.y;
  let keys = HEADS * HEAD_DIM;
  let values = keys + KV_HEADS * HEAD_DIM;
  var first = group.x * HEAD_DIM;
  var length = HEAD_DIM;
  if (WHOLE) {
    first = min(group.x, 1u) * keys + group.x / 2u * (values - keys);
    length = select(values - keys, keys, group.x == 0u);
  }
  let row = m * X_STRIDE;
  var mean = 0.0;
  if (OWN) {
    var sum = 0.0;
    for (var i = 2u * thread; i < length; i += 2u * THREADS) {
      let v = x[(row + first + i) / 2u];
      sum += v.x + v.y;
    }
    mean = lane_sum(vec4(sum, 0.0, 0.0, 0.0), thread).x / f32(length);
  }
  var squares = 0.0;
  for (var i = 2u * thread; i < length; i += 2u * THREADS) {
    let v = x[(row + first + i) / 2u] - mean;
    squares += dot(v, v);
  }
  let total = lane_sum(vec4(squares, 0.0, 0.0, 0.0), thread).x;
  let factor = inverseSqrt(total / f32(length) + EPS);
  for (var i = 2u * thread; i < length; i += 2u * THREADS) {
    let n = first + i;
    var v = x[(row + n) / 2u];
    if (n < values) {
      v = (v - mean) * factor * weight_of(n);
    }
    emit(m, n, v);
  }
}
