// Many rows of activations times a weight matrix: v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   every linear layer of a prefill chunk
// Bindings  0 x        activations, f32, rows padded with zeros to whole blocks of 32
//           1 quants, 2 scales   the weight's rows (the quantization reader declares them)
//           3 vectors  f32: bias by output row (if BIAS)
//           4..7       the epilogue's
// Dispatch  (ceil(SLICE / TN), rows / TM) workgroups
// Assumes   x has a multiple of TM rows; those past the chunk's end give results that nobody reads.
//           emit() takes pairs of rows (n, n + 1), n even.
//
// A workgroup holds 16 columns of TM rows of x and of TN rows of the weight in workgroup memory.
// With PREFETCH the next 16 columns are on their way to registers while it multiplies them: faster
// where few workgroups share a processor, slower for its registers where many do.
// A thread keeps 8 x 8 sums: rows 8 * ty .. 8 * ty + 7 of x with the weight's quads tx and
// tx + TN / 8, so that neighbours read neighbouring quads.

${enables}

override UNITS: u32;             // row length in units of 8 columns, a multiple of 2
override TM: u32;                // rows of x a workgroup, 32, 64 or 128
override TN: u32;                // weight rows a workgroup, 64 or 128
override PREFETCH: bool;
override THREADS: u32;           // TM * TN / 64

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

${quant}
${epilogue}
${finish}

var<workgroup> x_tile: array<vec4<f32>, TM * 4u>;  // [row][4 columns], the latter swizzled
var<workgroup> w_tile: array<vec4<f32>, TN * 4u>;  // [column][quad]: an element a row of the quad

// Threads that read different groups of 8 rows at once meet different banks.
fn swizzled(row: u32, part: u32) -> u32 {
  return row * 4u + (part ^ (row / 8u % 4u));
}

// What one thread brings of 16 columns: up to 4 vec4 of x, and the first TN / 2 threads a unit of
// the weight.
struct Share {
  x0: vec4<f32>,
  x1: vec4<f32>,
  x2: vec4<f32>,
  x3: vec4<f32>,
  w: array<vec4<f32>, 8>,
}

fn load_x(m0: u32, unit: u32, at: u32) -> vec4<f32> {
  return x[((m0 + at / 4u) * UNITS + unit) * 2u + at % 4u];
}

fn load_share(m0: u32, unit: u32, thread: u32, w_quad: u32) -> Share {
  var share: Share;
  share.x0 = load_x(m0, unit, thread);
  if (THREADS < TM * 4u) {
    share.x1 = load_x(m0, unit, thread + THREADS);
  }
  if (2u * THREADS < TM * 4u) {
    share.x2 = load_x(m0, unit, thread + 2u * THREADS);
    share.x3 = load_x(m0, unit, thread + 3u * THREADS);
  }
  if (thread < TN / 2u) {
    share.w = unit_columns(w_quad + unit);
  }
  return share;
}

fn store_x(value: vec4<f32>, at: u32) {
  x_tile[swizzled(at / 4u, at % 4u)] = value;
}

fn store_share(share: Share, thread: u32) {
  if (thread < TM * 4u) {
    store_x(share.x0, thread);
  }
  if (THREADS < TM * 4u) {
    store_x(share.x1, thread + THREADS);
  }
  if (2u * THREADS < TM * 4u) {
    store_x(share.x2, thread + 2u * THREADS);
    store_x(share.x3, thread + 3u * THREADS);
  }
  if (thread < TN / 2u) {
    let at = thread % 2u * 8u * (TN / 4u) + thread / 2u;
    w_tile[at] = share.w[0];
    w_tile[at + TN / 4u] = share.w[1];
    w_tile[at + 2u * (TN / 4u)] = share.w[2];
    w_tile[at + 3u * (TN / 4u)] = share.w[3];
    w_tile[at + 4u * (TN / 4u)] = share.w[4];
    w_tile[at + 5u * (TN / 4u)] = share.w[5];
    w_tile[at + 6u * (TN / 4u)] = share.w[6];
    w_tile[at + 7u * (TN / 4u)] = share.w[7];
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let tx = thread % (TN / 8u);
  let ty = thread / (TN / 8u);
  let m0 = group.y * TM;
  let quad0 = group.x * (TN / 4u);
  let row = ty * 8u;
  let w_quad = min(quad0 + thread / 2u, (SLICE - 1u) / 4u) * UNITS + thread % 2u;
  var a0 = vec4<f32>(); var b0 = vec4<f32>();
  var a1 = vec4<f32>(); var b1 = vec4<f32>();
  var a2 = vec4<f32>(); var b2 = vec4<f32>();
  var a3 = vec4<f32>(); var b3 = vec4<f32>();
  var a4 = vec4<f32>(); var b4 = vec4<f32>();
  var a5 = vec4<f32>(); var b5 = vec4<f32>();
  var a6 = vec4<f32>(); var b6 = vec4<f32>();
  var a7 = vec4<f32>(); var b7 = vec4<f32>();
  var next = load_share(m0, 0u, thread, w_quad);
  for (var unit = 0u; unit < UNITS; unit += 2u) {
    if (!PREFETCH && unit > 0u) {
      next = load_share(m0, unit, thread, w_quad);
    }
    store_share(next, thread);
    workgroupBarrier();
    if (PREFETCH) {
      next = load_share(m0, min(unit + 2u, UNITS - 2u), thread, w_quad);
    }
    for (var part = 0u; part < 4u; part++) {
      let x0 = x_tile[swizzled(row, part)];
      let x1 = x_tile[swizzled(row + 1u, part)];
      let x2 = x_tile[swizzled(row + 2u, part)];
      let x3 = x_tile[swizzled(row + 3u, part)];
      let x4 = x_tile[swizzled(row + 4u, part)];
      let x5 = x_tile[swizzled(row + 5u, part)];
      let x6 = x_tile[swizzled(row + 6u, part)];
      let x7 = x_tile[swizzled(row + 7u, part)];
      for (var i = 0u; i < 4u; i++) {
        let at = (part * 4u + i) * (TN / 4u) + tx;
        let wa = w_tile[at];
        let wb = w_tile[at + TN / 8u];
        a0 += x0[i] * wa; b0 += x0[i] * wb;
        a1 += x1[i] * wa; b1 += x1[i] * wb;
        a2 += x2[i] * wa; b2 += x2[i] * wb;
        a3 += x3[i] * wa; b3 += x3[i] * wb;
        a4 += x4[i] * wa; b4 += x4[i] * wb;
        a5 += x5[i] * wa; b5 += x5[i] * wb;
        a6 += x6[i] * wa; b6 += x6[i] * wb;
        a7 += x7[i] * wa; b7 += x7[i] * wb;
      }
    }
    workgroupBarrier();
  }
  let m = m0 + row;
  let na = (quad0 + tx) * 4u;
  let nb = na + TN / 2u;
  emit_quad(m, na, a0);      emit_quad(m, nb, b0);
  emit_quad(m + 1u, na, a1); emit_quad(m + 1u, nb, b1);
  emit_quad(m + 2u, na, a2); emit_quad(m + 2u, nb, b2);
  emit_quad(m + 3u, na, a3); emit_quad(m + 3u, nb, b3);
  emit_quad(m + 4u, na, a4); emit_quad(m + 4u, nb, b4);
  emit_quad(m + 5u, na, a5); emit_quad(m + 5u, nb, b5);
  emit_quad(m + 6u, na, a6); emit_quad(m + 6u, nb, b6);
  emit_quad(m + 7u, na, a7); emit_quad(m + 7u, nb, b7);
}
