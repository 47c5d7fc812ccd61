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
// A workgroup holds 32 columns of 64 rows of x and of TN rows of the weight in workgroup memory, in
// cells of 16 x 16 that lie in one piece each; the next 32 columns are on their way to registers while
// it multiplies them. A subgroup keeps the sums of 2 x 4 cells: 32 rows of x, 64 of the weight.

enable chromium_experimental_subgroup_matrix;
${enables}

override UNITS: u32;     // row length in units of 8 columns, a multiple of 4
override TN: u32;        // weight rows a workgroup, 64 or 128
override THREADS: u32;   // as many

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

${quant}
${epilogue}
${finish}

const SIDE = 16u;
const CELL = SIDE * SIDE;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

var<workgroup> x_tile: array<f16, 2048>;      // [row / 16][column / 16][row % 16][column % 16]
var<workgroup> w_tile: array<f16, TN * 32u>;  // likewise
var<workgroup> sums: array<f32, TN * 8u>;     // a cell of each subgroup

// 16 columns of a row of x.
struct Piece {
  a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
}

// What a thread brings of 32 columns: one piece of x, or two, and a unit of the weight.
struct Share {
  x0: Piece, x1: Piece,
  w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>,
  w4: vec4<f32>, w5: vec4<f32>, w6: vec4<f32>, w7: vec4<f32>,
}

fn load_piece(m0: u32, unit: u32, piece: u32) -> Piece {
  let at = ((m0 + piece / 2u) * UNITS + unit + piece % 2u * 2u) * 2u;
  return Piece(x[at], x[at + 1u], x[at + 2u], x[at + 3u]);
}

fn load_share(m0: u32, unit: u32, thread: u32, w_quad: u32) -> Share {
  var share: Share;
  share.x0 = load_piece(m0, unit, thread);
  if (THREADS < 128u) {
    share.x1 = load_piece(m0, unit, thread + THREADS);
  }
  let w = unit_columns(w_quad + unit);
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
  x_tile[at] = h.x;
  x_tile[at + 1u] = h.y;
  x_tile[at + 2u] = h.z;
  x_tile[at + 3u] = h.w;
}

fn store_piece(piece: Piece, number: u32) {
  let row = number / 2u;
  let at = (row / SIDE * 2u + number % 2u) * CELL + row % SIDE * SIDE;
  store_x(piece.a, at);
  store_x(piece.b, at + 4u);
  store_x(piece.c, at + 8u);
  store_x(piece.d, at + 12u);
}

// A column of a quad.
fn store_column(column: vec4<f32>, at: u32) {
  let h = halves(column);
  w_tile[at] = h.x;
  w_tile[at + SIDE] = h.y;
  w_tile[at + 2u * SIDE] = h.z;
  w_tile[at + 3u * SIDE] = h.w;
}

fn store_share(share: Share, thread: u32) {
  store_piece(share.x0, thread);
  if (THREADS < 128u) {
    store_piece(share.x1, thread + THREADS);
  }
  let quad = thread / 4u;
  let unit = thread % 4u;
  let at = (quad / 4u * 2u + unit / 2u) * CELL + quad % 4u * 4u * SIDE + unit % 2u * 8u;
  store_column(share.w0, at);
  store_column(share.w1, at + 1u);
  store_column(share.w2, at + 2u);
  store_column(share.w3, at + 3u);
  store_column(share.w4, at + 4u);
  store_column(share.w5, at + 5u);
  store_column(share.w6, at + 6u);
  store_column(share.w7, at + 7u);
}

// A lane has half a row of its subgroup's cell.
fn emit_cell(m: u32, n: u32, thread: u32) {
  let lane = thread % 32u;
  let at = thread * 8u;
  let row = m + lane / 2u;
  let column = n + lane % 2u * 8u;
  emit_quad(row, column, vec4(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]));
  emit_quad(row, column + 4u, vec4(sums[at + 4u], sums[at + 5u], sums[at + 6u], sums[at + 7u]));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m0 = group.y * 64u;
  let n0 = group.x * TN;
  let w_quad = min((n0 + thread) / 4u, (SLICE - 1u) / 4u) * UNITS + thread % 4u;
  let subgroup = thread / 32u;
  let x_at = subgroup % 2u * 4u * CELL;
  let w_at = subgroup / 2u * 8u * CELL;
  var s00 = Sums(); var s01 = Sums(); var s02 = Sums(); var s03 = Sums();
  var s10 = Sums(); var s11 = Sums(); var s12 = Sums(); var s13 = Sums();
  var next = load_share(m0, 0u, thread, w_quad);
  for (var unit = 0u; unit < UNITS; unit += 4u) {
    store_share(next, thread);
    workgroupBarrier();
    next = load_share(m0, min(unit + 4u, UNITS - 4u), thread, w_quad);
    for (var half = 0u; half < 2u; half++) {
      let a0 = subgroupMatrixLoad<Left>(&x_tile, x_at + half * CELL, false, SIDE);
      let a1 = subgroupMatrixLoad<Left>(&x_tile, x_at + (2u + half) * CELL, false, SIDE);
      let b0 = subgroupMatrixLoad<Right>(&w_tile, w_at + half * CELL, true, SIDE);
      s00 = subgroupMatrixMultiplyAccumulate(a0, b0, s00);
      s10 = subgroupMatrixMultiplyAccumulate(a1, b0, s10);
      let b1 = subgroupMatrixLoad<Right>(&w_tile, w_at + (2u + half) * CELL, true, SIDE);
      s01 = subgroupMatrixMultiplyAccumulate(a0, b1, s01);
      s11 = subgroupMatrixMultiplyAccumulate(a1, b1, s11);
      let b2 = subgroupMatrixLoad<Right>(&w_tile, w_at + (4u + half) * CELL, true, SIDE);
      s02 = subgroupMatrixMultiplyAccumulate(a0, b2, s02);
      s12 = subgroupMatrixMultiplyAccumulate(a1, b2, s12);
      let b3 = subgroupMatrixLoad<Right>(&w_tile, w_at + (6u + half) * CELL, true, SIDE);
      s03 = subgroupMatrixMultiplyAccumulate(a0, b3, s03);
      s13 = subgroupMatrixMultiplyAccumulate(a1, b3, s13);
    }
    workgroupBarrier();
  }
  let m = m0 + subgroup % 2u * 32u;
  let n = n0 + subgroup / 2u * 64u;
  let at = subgroup * CELL;
  subgroupMatrixStore(&sums, at, s00, false, SIDE);
  workgroupBarrier();
  emit_cell(m, n, thread);
  workgroupBarrier();
  subgroupMatrixStore(&sums, at, s01, false, SIDE);
  workgroupBarrier();
  emit_cell(m, n + SIDE, thread);
  workgroupBarrier();
  subgroupMatrixStore(&sums, at, s02, false, SIDE);
  workgroupBarrier();
  emit_cell(m, n + 2u * SIDE, thread);
  workgroupBarrier();
  subgroupMatrixStore(&sums, at, s03, false, SIDE);
  workgroupBarrier();
  emit_cell(m, n + 3u * SIDE, thread);
  workgroupBarrier();
  subgroupMatrixStore(&sums, at, s10, false, SIDE);
  workgroupBarrier();
  emit_cell(m + SIDE, n, thread);
  workgroupBarrier();
  subgroupMatrixStore(&sums, at, s11, false, SIDE);
  workgroupBarrier();
  emit_cell(m + SIDE, n + SIDE, thread);
  workgroupBarrier();
  subgroupMatrixStore(&sums, at, s12, false, SIDE);
  workgroupBarrier();
  emit_cell(m + SIDE, n + 2u * SIDE, thread);
  workgroupBarrier();
  subgroupMatrixStore(&sums, at, s13, false, SIDE);
  workgroupBarrier();
  emit_cell(m + SIDE, n + 3u * SIDE, thread);
}
