// Many rows of activations times a weight matrix: v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   every linear layer of a prefill chunk
// Bindings  0 x        activations, f32, rows padded with zeros to whole blocks
//           1 quants, 2 scales   the weight's rows (the quantization reader declares them)
//           3 vectors  f32: bias by output row (if BIAS)
//           4..7       the epilogue's
// Dispatch  (ceil(SLICE / TN), rows / TM) workgroups
// Assumes   x has a multiple of TM rows; those past the chunk's end give results that nobody reads.
//           ROW0 even; emit() takes pairs of rows (n, n + 1), n even.
//
// Each workgroup holds TM x 32 activations and TN x 32 weights in workgroup memory, as vec4 along k;
// the column is XORed with the row so that neighbouring threads meet different banks. A thread keeps
// 4 x 4 sums: rows 4*ty .. 4*ty+3 of x with weight rows 2*tx, 2*tx+1 and the same plus TN / 2.

${enables}

override UNITS: u32;             // row length in units of 8 columns, a multiple of 4
override N: u32;                 // output rows of the whole (virtual) matrix
override ROW0: u32 = 0u;         // the first output row that this buffer holds
override SLICE: u32;             // how many rows it holds
override TM: u32;                // rows of x a workgroup, a multiple of 4
override TN: u32;                // weight rows a workgroup, a multiple of 8
override BIAS: bool = false;
override BIAS_AT: u32 = 0u;      // where the bias starts within vectors, in vec4
override THREADS: u32;           // TM * TN / 16

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> vectors: array<vec4<f32>>;

${quant}
${epilogue}

var<workgroup> x_tile: array<vec4<${elem}>, TM * 8u>;
var<workgroup> w_tile: array<vec4<${elem}>, TN * 8u>;

fn swizzled(row: u32, column: u32) -> u32 {
  return row * 8u + (column ^ (row % 8u));
}

// Weight rows 2i and 2i+1 lie TN / 2 apart in the tile: neighbours read neighbours.
fn store_row(n: u32, part: u32, low: vec4<f32>, high: vec4<f32>) {
  let row = (n % 2u) * (TN / 2u) + n / 2u;
  w_tile[swizzled(row, 2u * part)] = vec4<${elem}>(low);
  w_tile[swizzled(row, 2u * part + 1u)] = vec4<${elem}>(high);
}

fn to_elem(v: vec4<f32>) -> vec4<${elem}> {
  return vec4<${elem}>(clamp(v, vec4(-65504.0), vec4(65504.0)));
}

fn biased(row: u32, sum: f32) -> f32 {
  if (BIAS) {
    return sum + vectors[BIAS_AT + row / 4u][row % 4u];
  }
  return sum;
}

fn emit_pair(m: u32, n: u32, v: vec2<f32>) {
  if (n < SLICE) {
    let row = ROW0 + n;
    emit(m, row, vec2(biased(row, v.x), biased(min(row + 1u, N - 1u), v.y)));
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let tx = thread % (TN / 4u);
  let ty = thread / (TN / 4u);
  let m0 = group.y * TM;
  let n0 = group.x * TN;
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  for (var unit = 0u; unit < UNITS; unit += 4u) {
    for (var i = thread; i < TM * 8u; i += THREADS) {
      x_tile[swizzled(i / 8u, i % 8u)] = to_elem(x[((m0 + i / 8u) * UNITS + unit) * 2u + i % 8u]);
    }
    for (var i = thread; i < TN; i += THREADS) {
      let quad = min((n0 + i) / 4u, (SLICE - 1u) / 4u);
      let w = unit_rows(quad * UNITS + unit + i % 4u);
      let n = i / 4u * 4u;
      store_row(n, i % 4u, w.low[0], w.high[0]);
      store_row(n + 1u, i % 4u, w.low[1], w.high[1]);
      store_row(n + 2u, i % 4u, w.low[2], w.high[2]);
      store_row(n + 3u, i % 4u, w.low[3], w.high[3]);
    }
    workgroupBarrier();
    // Rows of the tile that hold the thread's four weight rows, in the order of the sums' parts.
    for (var k = 0u; k < 8u; k++) {
      let w0 = w_tile[swizzled(tx, k)];
      let w1 = w_tile[swizzled(TN / 2u + tx, k)];
      let w2 = w_tile[swizzled(TN / 4u + tx, k)];
      let w3 = w_tile[swizzled(3u * TN / 4u + tx, k)];
      let x0 = x_tile[swizzled(ty * 4u, k)];
      let x1 = x_tile[swizzled(ty * 4u + 1u, k)];
      let x2 = x_tile[swizzled(ty * 4u + 2u, k)];
      let x3 = x_tile[swizzled(ty * 4u + 3u, k)];
      s0 += vec4<f32>(vec4(dot(x0, w0), dot(x0, w1), dot(x0, w2), dot(x0, w3)));
      s1 += vec4<f32>(vec4(dot(x1, w0), dot(x1, w1), dot(x1, w2), dot(x1, w3)));
      s2 += vec4<f32>(vec4(dot(x2, w0), dot(x2, w1), dot(x2, w2), dot(x2, w3)));
      s3 += vec4<f32>(vec4(dot(x3, w0), dot(x3, w1), dot(x3, w2), dot(x3, w3)));
    }
    workgroupBarrier();
  }
  let m = m0 + ty * 4u;
  let n = n0 + 2u * tx;
  emit_pair(m, n, s0.xy);
  emit_pair(m + 1u, n, s1.xy);
  emit_pair(m + 2u, n, s2.xy);
  emit_pair(m + 3u, n, s3.xy);
  emit_pair(m, n + TN / 2u, s0.zw);
  emit_pair(m + 1u, n + TN / 2u, s1.zw);
  emit_pair(m + 2u, n + TN / 2u, s2.zw);
  emit_pair(m + 3u, n + TN / 2u, s3.zw);
}
