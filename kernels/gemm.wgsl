// Many rows of activations times a weight matrix: v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   every linear layer of a prefill chunk
// Bindings  0 x        activations, f32, rows padded with zeros to whole blocks of 32
//           1 quants, 2 scales   the weight's rows (the quantization reader declares them)
//           3 vectors  f32: bias by output row (if BIAS)
//           4..7       the epilogue's
// Dispatch  (ceil(SLICE / TN), rows / TM) workgroups; or what linear/finish_experts.wgsl wants, which
//           says of a tile which rows of x it has and which of the weight
// Assumes   x has a multiple of TM rows; those past the chunk's end give results that nobody reads.
//           emit() takes pairs of rows (n, n + 1), n even.
//
// A workgroup holds 16 columns of TM rows of x and of TN rows of the weight in workgroup memory.
// With PREFETCH the next 16 columns are on their way to registers while it multiplies them: faster
// where few workgroups share a processor, slower for its registers where many do.
// A thread keeps 8 x 8 sums: rows 8 * ty .. 8 * ty + 7 of x with the weight's quads tx and
// tx + TN / 8, so that neighbours read neighbouring quads.
//
// Compilers differ in what they unroll, and naga's loops are not unrolled at all. So what a thread
// keeps has names, not indices, and an index into a tile is one of the thread's and then literals.

${enables}

override UNITS: u32;             // row length in units of 8 columns, a multiple of 2
override TM: u32;                // rows of x a workgroup, 32 or 64
override TN: u32;                // weight rows a workgroup, 64 or 128
override PREFETCH: bool;
override THREADS: u32;           // TM * TN / 64

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

${quant}
${epilogue}
${finish}

// 16 columns of 8 rows of x: [row][4 columns].
struct InputTile {
  rows: array<array<vec4<f32>, 4>, 8>,
  gap: vec4<f32>,  // neighbours are to start in different banks
}

// 16 columns of a quad of the weight: [4 columns][column], an element a row of the quad.
struct WeightTile {
  columns: array<array<vec4<f32>, 4>, 4>,
  gap: vec4<f32>,
}

var<workgroup> x_tile: array<InputTile, TM / 8u>;
var<workgroup> w_tile: array<WeightTile, TN / 4u>;

// What one thread brings of 16 columns: up to 4 vec4 of x, and the first TN / 2 threads a unit of
// the weight.
struct Share {
  x0: vec4<f32>, x1: vec4<f32>, x2: vec4<f32>, x3: vec4<f32>,
  w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>,
  w4: vec4<f32>, w5: vec4<f32>, w6: vec4<f32>, w7: vec4<f32>,
}

// Where these of x and this of the weight begin.
struct Starts {
  x0: u32, x1: u32, x2: u32, x3: u32,
  w: u32,
}

fn x_start(tile: RowTile, at: u32) -> u32 {
  return x_row(tile, tile.m0 + at / 4u) * UNITS * 2u + at % 4u;
}

fn starts_of(tile: RowTile, quad0: u32, thread: u32) -> Starts {
  var starts: Starts;
  starts.x0 = x_start(tile, thread);
  if (THREADS < TM * 4u) {
    starts.x1 = x_start(tile, thread + THREADS);
  }
  if (2u * THREADS < TM * 4u) {
    starts.x2 = x_start(tile, thread + 2u * THREADS);
    starts.x3 = x_start(tile, thread + 3u * THREADS);
  }
  let quad = w_quad(tile) + min(quad0 + thread / 2u, (w_rows() - 1u) / 4u);
  starts.w = quad * UNITS + thread % 2u;
  return starts;
}

fn load_share(starts: Starts, unit: u32, thread: u32) -> Share {
  var share: Share;
  share.x0 = x[starts.x0 + 2u * unit];
  if (THREADS < TM * 4u) {
    share.x1 = x[starts.x1 + 2u * unit];
  }
  if (2u * THREADS < TM * 4u) {
    share.x2 = x[starts.x2 + 2u * unit];
    share.x3 = x[starts.x3 + 2u * unit];
  }
  if (thread < TN / 2u) {
    let w = unit_columns(starts.w + unit);
    share.w0 = w[0];
    share.w1 = w[1];
    share.w2 = w[2];
    share.w3 = w[3];
    share.w4 = w[4];
    share.w5 = w[5];
    share.w6 = w[6];
    share.w7 = w[7];
  }
  return share;
}

fn store_x(value: vec4<f32>, at: u32) {
  x_tile[at / 32u].rows[at / 4u % 8u][at % 4u] = value;
}

fn store_share(share: Share, thread: u32) {
  store_x(share.x0, thread);
  if (THREADS < TM * 4u) {
    store_x(share.x1, thread + THREADS);
  }
  if (2u * THREADS < TM * 4u) {
    store_x(share.x2, thread + 2u * THREADS);
    store_x(share.x3, thread + 3u * THREADS);
  }
  if (thread < TN / 2u) {
    let quad = thread / 2u;
    let part = thread % 2u * 2u;
    w_tile[quad].columns[part][0] = share.w0;
    w_tile[quad].columns[part][1] = share.w1;
    w_tile[quad].columns[part][2] = share.w2;
    w_tile[quad].columns[part][3] = share.w3;
    w_tile[quad].columns[part + 1u][0] = share.w4;
    w_tile[quad].columns[part + 1u][1] = share.w5;
    w_tile[quad].columns[part + 1u][2] = share.w6;
    w_tile[quad].columns[part + 1u][3] = share.w7;
  }
}

// Four columns of a quad.
struct Columns {
  c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32>,
}

fn columns_of(quad: u32, part: u32) -> Columns {
  return Columns(w_tile[quad].columns[part][0], w_tile[quad].columns[part][1],
                 w_tile[quad].columns[part][2], w_tile[quad].columns[part][3]);
}

// As many of the adapters' B: a quad of ranks.
fn quad_columns(quad: u32, n: u32) -> Columns {
  let b = lora_columns(quad, n);
  return Columns(b[0], b[1], b[2], b[3]);
}

fn with_columns(sum: vec4<f32>, x: vec4<f32>, w: Columns) -> vec4<f32> {
  return sum + x.x * w.c0 + x.y * w.c1 + x.z * w.c2 + x.w * w.c3;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let tx = thread % (TN / 8u);
  let ty = thread / (TN / 8u);
  let tile = tile_of(group.y, TM);
  if (!is_held(tile)) {
    return;
  }
  let quad0 = group.x * (TN / 4u);
  let starts = starts_of(tile, quad0, thread);
  var a0 = vec4<f32>(); var b0 = vec4<f32>();
  var a1 = vec4<f32>(); var b1 = vec4<f32>();
  var a2 = vec4<f32>(); var b2 = vec4<f32>();
  var a3 = vec4<f32>(); var b3 = vec4<f32>();
  var a4 = vec4<f32>(); var b4 = vec4<f32>();
  var a5 = vec4<f32>(); var b5 = vec4<f32>();
  var a6 = vec4<f32>(); var b6 = vec4<f32>();
  var a7 = vec4<f32>(); var b7 = vec4<f32>();
  var next = load_share(starts, 0u, thread);
  for (var unit = 0u; unit < UNITS; unit += 2u) {
    if (!PREFETCH && unit > 0u) {
      next = load_share(starts, unit, thread);
    }
    store_share(next, thread);
    workgroupBarrier();
    if (PREFETCH) {
      next = load_share(starts, min(unit + 2u, UNITS - 2u), thread);
    }
    for (var part = 0u; part < 4u; part++) {
      let a = columns_of(tx, part);
      let b = columns_of(tx + TN / 8u, part);
      let x0 = x_tile[ty].rows[0][part];
      a0 = with_columns(a0, x0, a);
      b0 = with_columns(b0, x0, b);
      let x1 = x_tile[ty].rows[1][part];
      a1 = with_columns(a1, x1, a);
      b1 = with_columns(b1, x1, b);
      let x2 = x_tile[ty].rows[2][part];
      a2 = with_columns(a2, x2, a);
      b2 = with_columns(b2, x2, b);
      let x3 = x_tile[ty].rows[3][part];
      a3 = with_columns(a3, x3, a);
      b3 = with_columns(b3, x3, b);
      let x4 = x_tile[ty].rows[4][part];
      a4 = with_columns(a4, x4, a);
      b4 = with_columns(b4, x4, b);
      let x5 = x_tile[ty].rows[5][part];
      a5 = with_columns(a5, x5, a);
      b5 = with_columns(b5, x5, b);
      let x6 = x_tile[ty].rows[6][part];
      a6 = with_columns(a6, x6, a);
      b6 = with_columns(b6, x6, b);
      let x7 = x_tile[ty].rows[7][part];
      a7 = with_columns(a7, x7, a);
      b7 = with_columns(b7, x7, b);
    }
    workgroupBarrier();
  }
  let m = tile.m0 + ty * 8u;
  let na = (quad0 + tx) * 4u;
  let nb = na + TN / 2u;
  for (var quad = 0u; quad < lora_quads(); quad++) {
    let a = quad_columns(quad, na);
    let b = quad_columns(quad, nb);
    let x0 = lora_input(m, quad);
    a0 = with_columns(a0, x0, a);
    b0 = with_columns(b0, x0, b);
    let x1 = lora_input(m + 1u, quad);
    a1 = with_columns(a1, x1, a);
    b1 = with_columns(b1, x1, b);
    let x2 = lora_input(m + 2u, quad);
    a2 = with_columns(a2, x2, a);
    b2 = with_columns(b2, x2, b);
    let x3 = lora_input(m + 3u, quad);
    a3 = with_columns(a3, x3, a);
    b3 = with_columns(b3, x3, b);
    let x4 = lora_input(m + 4u, quad);
    a4 = with_columns(a4, x4, a);
    b4 = with_columns(b4, x4, b);
    let x5 = lora_input(m + 5u, quad);
    a5 = with_columns(a5, x5, a);
    b5 = with_columns(b5, x5, b);
    let x6 = lora_input(m + 6u, quad);
    a6 = with_columns(a6, x6, a);
    b6 = with_columns(b6, x6, b);
    let x7 = lora_input(m + 7u, quad);
    a7 = with_columns(a7, x7, a);
    b7 = with_columns(b7, x7, b);
  }
  emit_tile(tile, m, na, a0);      emit_tile(tile, m, nb, b0);
  emit_tile(tile, m + 1u, na, a1); emit_tile(tile, m + 1u, nb, b1);
  emit_tile(tile, m + 2u, na, a2); emit_tile(tile, m + 2u, nb, b2);
  emit_tile(tile, m + 3u, na, a3); emit_tile(tile, m + 3u, nb, b3);
  emit_tile(tile, m + 4u, na, a4); emit_tile(tile, m + 4u, nb, b4);
  emit_tile(tile, m + 5u, na, a5); emit_tile(tile, m + 5u, nb, b5);
  emit_tile(tile, m + 6u, na, a6); emit_tile(tile, m + 6u, nb, b6);
  emit_tile(tile, m + 7u, na, a7); emit_tile(tile, m + 7u, nb, b7);
}
