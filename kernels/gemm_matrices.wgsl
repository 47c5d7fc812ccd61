// Many rows of activations times a weight matrix by subgroup matrices (WGSL's subgroup_matrix, still an
// experiment of Chromium's): products of f16, sums of f32, v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   the linear layers of a prefill chunk where this is faster than gemm.wgsl and gemm_dot4.wgsl
// Bindings  0 x        activations, f32, rows padded with zeros to whole blocks of 32
//           1 quants, 2 scales   the weight's rows (the quantization reader declares them)
//           3 vectors  f32: bias by output row (if BIAS)
//           4..7       the epilogue's
// Dispatch  (ceil(SLICE / TN), rows / 64) workgroups
// Assumes   f16; subgroups of exactly 32; f16 matrices of 16 x 16 with results in f32. x has a multiple
//           of 64 rows; those past the chunk's end give results that nobody reads.
//           emit() takes pairs of rows (n, n + 1), n even.
//
// A workgroup holds 32 columns of 64 rows of x and of TN rows of the weight in workgroup memory, x by
// rows and the weight by columns, so that neighbours store to different banks; the next 32 columns are
// on their way to registers while it multiplies them. A subgroup keeps the sums of 2 x 4 cells of
// 16 x 16: 32 rows of x, 64 of the weight.

enable chromium_experimental_subgroup_matrix;
${enables}
// That a subgroup's threads share thread / 32 is not known to the compiler.
diagnostic(off, chromium.subgroup_matrix_uniformity);

override UNITS: u32;     // row length in units of 8 columns, a multiple of 4
override TN: u32;        // weight rows a workgroup, 64 or 128
override THREADS: u32;   // as many

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

${quant}
${epilogue}
${finish}

const SIDE = 16u;
const CELL = SIDE * SIDE;
// A multiple of 8, as matrices are loaded, and no multiple of the number of banks.
const X_STRIDE = 40u;
const W_STRIDE = 136u;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

var<workgroup> x_tile: array<f16, 2560>;  // 64 rows of 32 columns
var<workgroup> w_tile: array<f16, 4352>;  // 32 columns of TN rows
var<workgroup> sums: array<f32, 512>;     // two cells

// What a thread brings of 32 columns: 4 vec4 of x, with TN = 64 as many again, and a unit of the weight.
struct Share {
  x0: vec4<f32>, x1: vec4<f32>, x2: vec4<f32>, x3: vec4<f32>,
  x4: vec4<f32>, x5: vec4<f32>, x6: vec4<f32>, x7: vec4<f32>,
  w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>,
  w4: vec4<f32>, w5: vec4<f32>, w6: vec4<f32>, w7: vec4<f32>,
}

fn load_x(m0: u32, unit: u32, at: u32) -> vec4<f32> {
  return x[((m0 + at / 8u) * UNITS + unit) * 2u + at % 8u];
}

fn load_share(m0: u32, unit: u32, thread: u32, w_at: u32) -> Share {
  var share: Share;
  share.x0 = load_x(m0, unit, thread);
  share.x1 = load_x(m0, unit, thread + THREADS);
  share.x2 = load_x(m0, unit, thread + 2u * THREADS);
  share.x3 = load_x(m0, unit, thread + 3u * THREADS);
  if (THREADS < 128u) {
    share.x4 = load_x(m0, unit, thread + 4u * THREADS);
    share.x5 = load_x(m0, unit, thread + 5u * THREADS);
    share.x6 = load_x(m0, unit, thread + 6u * THREADS);
    share.x7 = load_x(m0, unit, thread + 7u * THREADS);
  }
  let w = unit_columns(w_at + unit);
  share.w0 = w[0];
  share.w1 = w[1];
  share.w2 = w[2];
  share.w3 = w[3];
  share.w4 = w[4];
  share.w5 = w[5];
  share.w6 = w[6];
  share.w7 = w[7];
  return share;
}

// Beyond what f16 holds is its largest number.
fn halves(v: vec4<f32>) -> vec4<f16> {
  return vec4<f16>(clamp(v, vec4(-65504.0), vec4(65504.0)));
}

fn store_x(v: vec4<f32>, at: u32) {
  let h = halves(v);
  let to = at / 8u * X_STRIDE + at % 8u * 4u;
  x_tile[to] = h.x;
  x_tile[to + 1u] = h.y;
  x_tile[to + 2u] = h.z;
  x_tile[to + 3u] = h.w;
}

// A column of a quad.
fn store_w(column: vec4<f32>, to: u32) {
  let h = halves(column);
  w_tile[to] = h.x;
  w_tile[to + 1u] = h.y;
  w_tile[to + 2u] = h.z;
  w_tile[to + 3u] = h.w;
}

fn store_share(share: Share, thread: u32) {
  store_x(share.x0, thread);
  store_x(share.x1, thread + THREADS);
  store_x(share.x2, thread + 2u * THREADS);
  store_x(share.x3, thread + 3u * THREADS);
  if (THREADS < 128u) {
    store_x(share.x4, thread + 4u * THREADS);
    store_x(share.x5, thread + 5u * THREADS);
    store_x(share.x6, thread + 6u * THREADS);
    store_x(share.x7, thread + 7u * THREADS);
  }
  let quads = TN / 4u;
  let to = thread / quads * 8u * W_STRIDE + thread % quads * 4u;
  store_w(share.w0, to);
  store_w(share.w1, to + W_STRIDE);
  store_w(share.w2, to + 2u * W_STRIDE);
  store_w(share.w3, to + 3u * W_STRIDE);
  store_w(share.w4, to + 4u * W_STRIDE);
  store_w(share.w5, to + 5u * W_STRIDE);
  store_w(share.w6, to + 6u * W_STRIDE);
  store_w(share.w7, to + 7u * W_STRIDE);
}

// The quads of two cells, whose first rows of x are 32 apart, with their threads.
fn emit_cells(m: u32, n: u32, thread: u32) {
  for (var i = thread; i < 128u; i += THREADS) {
    let at = i * 4u;
    let row = m + i / 64u * 32u + i % 64u / 4u;
    let column = n + i % 4u * 4u;
    let sum = vec4(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
    emit_quad(row, column, sum + lora_share(row, column, 0u, 1u));
  }
}

// The cells of the two subgroups that share these rows of the weight.
fn emit_pair(mine: bool, cell: Sums, at: u32, m: u32, n: u32, thread: u32) {
  if (mine) {
    subgroupMatrixStore(&sums, at, cell, false, SIDE);
  }
  workgroupBarrier();
  emit_cells(m, n, thread);
  workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m0 = group.y * 64u;
  let n0 = group.x * TN;
  let quads = TN / 4u;
  let quad = min(n0 / 4u + thread % quads, (SLICE - 1u) / 4u);
  let w_from = quad * UNITS + thread / quads;
  let subgroup = thread / 32u;
  let x_at = subgroup % 2u * 32u * X_STRIDE;
  let w_at = subgroup / 2u * 64u;
  var s00 = Sums(); var s01 = Sums(); var s02 = Sums(); var s03 = Sums();
  var s10 = Sums(); var s11 = Sums(); var s12 = Sums(); var s13 = Sums();
  var next = load_share(m0, 0u, thread, w_from);
  for (var unit = 0u; unit < UNITS; unit += 4u) {
    store_share(next, thread);
    workgroupBarrier();
    next = load_share(m0, min(unit + 4u, UNITS - 4u), thread, w_from);
    for (var k = 0u; k < 32u; k += SIDE) {
      let a0 = subgroupMatrixLoad<Left>(&x_tile, x_at + k, false, X_STRIDE);
      let a1 = subgroupMatrixLoad<Left>(&x_tile, x_at + SIDE * X_STRIDE + k, false, X_STRIDE);
      let w_row = w_at + k * W_STRIDE;
      let b0 = subgroupMatrixLoad<Right>(&w_tile, w_row, false, W_STRIDE);
      s00 = subgroupMatrixMultiplyAccumulate(a0, b0, s00);
      s10 = subgroupMatrixMultiplyAccumulate(a1, b0, s10);
      let b1 = subgroupMatrixLoad<Right>(&w_tile, w_row + SIDE, false, W_STRIDE);
      s01 = subgroupMatrixMultiplyAccumulate(a0, b1, s01);
      s11 = subgroupMatrixMultiplyAccumulate(a1, b1, s11);
      let b2 = subgroupMatrixLoad<Right>(&w_tile, w_row + 2u * SIDE, false, W_STRIDE);
      s02 = subgroupMatrixMultiplyAccumulate(a0, b2, s02);
      s12 = subgroupMatrixMultiplyAccumulate(a1, b2, s12);
      let b3 = subgroupMatrixLoad<Right>(&w_tile, w_row + 3u * SIDE, false, W_STRIDE);
      s03 = subgroupMatrixMultiplyAccumulate(a0, b3, s03);
      s13 = subgroupMatrixMultiplyAccumulate(a1, b3, s13);
    }
    workgroupBarrier();
  }
  let at = subgroup % 2u * CELL;
  for (var pair = 0u; pair < TN / 64u; pair++) {
    let mine = subgroup / 2u == pair;
    let n = n0 + pair * 64u;
    emit_pair(mine, s00, at, m0, n, thread);
    emit_pair(mine, s01, at, m0, n + SIDE, thread);
    emit_pair(mine, s02, at, m0, n + 2u * SIDE, thread);
    emit_pair(mine, s03, at, m0, n + 3u * SIDE, thread);
    emit_pair(mine, s10, at, m0 + SIDE, n, thread);
    emit_pair(mine, s11, at, m0 + SIDE, n + SIDE, thread);
    emit_pair(mine, s12, at, m0 + SIDE, n + 2u * SIDE, thread);
    emit_pair(mine, s13, at, m0 + SIDE, n + 3u * SIDE, thread);
  }
}
