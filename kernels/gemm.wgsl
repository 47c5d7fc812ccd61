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
// A thread keeps 8 x 8 sums: rows 8 * ty .. 8 * ty + 7 of x with the weight's quads tx and
// tx + TN / 8, so that neighbours read neighbouring quads.

${enables}

override UNITS: u32;             // row length in units of 8 columns, a multiple of 2
override TM: u32;                // rows of x a workgroup, a multiple of 8
override TN: u32;                // weight rows a workgroup, a multiple of 8
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

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let tx = thread % (TN / 8u);
  let ty = thread / (TN / 8u);
  let m0 = group.y * TM;
  let quad0 = group.x * (TN / 4u);
  let last_quad = (SLICE - 1u) / 4u;
  let row = ty * 8u;
  var a0 = vec4<f32>(); var b0 = vec4<f32>();
  var a1 = vec4<f32>(); var b1 = vec4<f32>();
  var a2 = vec4<f32>(); var b2 = vec4<f32>();
  var a3 = vec4<f32>(); var b3 = vec4<f32>();
  var a4 = vec4<f32>(); var b4 = vec4<f32>();
  var a5 = vec4<f32>(); var b5 = vec4<f32>();
  var a6 = vec4<f32>(); var b6 = vec4<f32>();
  var a7 = vec4<f32>(); var b7 = vec4<f32>();
  for (var unit = 0u; unit < UNITS; unit += 2u) {
    for (var i = thread; i < TM * 4u; i += THREADS) {
      x_tile[swizzled(i / 4u, i % 4u)] = x[((m0 + i / 4u) * UNITS + unit) * 2u + i % 4u];
    }
    for (var i = thread; i < TN / 2u; i += THREADS) {
      let quad = i / 2u;
      let w = unit_columns(min(quad0 + quad, last_quad) * UNITS + unit + i % 2u);
      let at = i % 2u * 8u * (TN / 4u) + quad;
      w_tile[at] = w[0];
      w_tile[at + TN / 4u] = w[1];
      w_tile[at + 2u * (TN / 4u)] = w[2];
      w_tile[at + 3u * (TN / 4u)] = w[3];
      w_tile[at + 4u * (TN / 4u)] = w[4];
      w_tile[at + 5u * (TN / 4u)] = w[5];
      w_tile[at + 6u * (TN / 4u)] = w[6];
      w_tile[at + 7u * (TN / 4u)] = w[7];
    }
    workgroupBarrier();
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
