// Many rows of activations in 8 bits times a weight of 8 bits or less, by dot products of 4 bytes
// (WGSL's packed_4x8_integer_dot_product): v[m][n] = sum_k W[n][k] * x[m][k] (+ bias[n]).
//
// Purpose   the linear layers of a prefill chunk where this is faster than gemm.wgsl
// Bindings  0 x        what x_quantize.wgsl leaves
//           1 quants, 2 scales   the weight's rows (the reader declares them)
//           3 vectors  f32: bias by output row (if BIAS)
//           4..7       the epilogue's
// Dispatch  (ceil(SLICE / TN), rows / TM) workgroups
// Assumes   x has a multiple of TM rows; those past the chunk's end give results that nobody reads.
//           emit() takes pairs of rows (n, n + 1), n even.
//
// A workgroup takes SPLITS blocks of 32 columns at a time, each multiplied by threads of its own,
// which add up at the end. A thread keeps sums of a quad of rows of x, or of two (WIDE), with two
// quads of rows of the weight. A block's products are summed as integers, exactly, then scaled; or
// those of each half of it, where the weight has a scale for every 16 columns. A minimum is
// multiplied once, with the sum of x.
//
// Integers become floats as in dot4/units.wgsl: those of a block stay below 32 * 127 * 128 < 2^22.
// What a thread keeps has names, not indices: see gemm.wgsl.

${enables}

override UNITS: u32;       // row length in units of 8 columns, a multiple of 4
override SCALES_AT: u32;   // where the scales of x begin, in vec4
override SUMS_AT: u32;     // and its sums, for a weight that has minima
override TM: u32;          // rows of x a workgroup: a multiple of 32, with WIDE of 64
override TN: u32;          // weight rows a workgroup: a multiple of 32, with WIDE of 64
override SPLITS: u32;
override WIDE: bool;
override SHARE: u32;       // threads a split: TM * TN / 32, with WIDE half as many
override THREADS: u32;     // SHARE * SPLITS

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;

${quant}
${epilogue}
${finish}

// A block of a quad of rows: words of 4 columns, one a row, and the rows' scales.
struct Tile {
  words: array<vec4<u32>, 8>,
  scales: vec4<f32>,
}

var<workgroup> x_tile: array<Tile, TM / 4u * SPLITS>;  // [split][quad]
var<workgroup> w_tile: array<Tile, TN / 4u * SPLITS>;
// What only some formats have, by [half of a block][split][quad]: sums of x, as numbers; of the weight
// the scales of second halves, then minima. An element more, since arrays must have one.
var<workgroup> x_sums: array<vec4<f32>, TM / 4u * SPLITS * BLOCK_SCALES * MINIMA + 1u>;
var<workgroup> w_more: array<vec4<f32>, TN / 4u * SPLITS * (BLOCK_SCALES * (1u + MINIMA) - 1u) + 1u>;

// What a thread brings of these: up to two vec4 of x, a quad's scales and sums, a unit of the weight.
// It is under way while the tiles before are multiplied.
struct Load {
  x0: vec4<u32>,
  x1: vec4<u32>,
  x_scales: vec4<u32>,
  x_sums: vec4<u32>,
  w: Stored,
}

// The quad and the block of the i-th tile that is loaded.
fn quad_of(i: u32) -> u32 {
  return i / SPLITS;
}

fn block_of(i: u32, block: u32) -> u32 {
  return min(block + i % SPLITS, UNITS / 4u - 1u);
}

fn load_x(m_quad: u32, block: u32, i: u32) -> vec4<u32> {
  return x[((m_quad + quad_of(i / 8u)) * (UNITS / 4u) + block_of(i / 8u, block)) * 8u + i % 8u];
}

fn load_share(m_quad: u32, n_quad: u32, block: u32, thread: u32) -> Load {
  var load: Load;
  if (thread < 2u * TM * SPLITS) {
    load.x0 = load_x(m_quad, block, thread);
  }
  if (THREADS < 2u * TM * SPLITS) {
    load.x1 = load_x(m_quad, block, thread + THREADS);
  }
  if (thread < TM / 4u * SPLITS) {
    let at = (m_quad + quad_of(thread)) * (UNITS / 4u) + block_of(thread, block);
    load.x_scales = x[SCALES_AT + at];
    if (MINIMA > 0u) {
      load.x_sums = x[SUMS_AT + at];
    }
  }
  if (thread < TN * SPLITS) {
    let i = thread / 4u;
    let quad = min(n_quad + quad_of(i), (SLICE - 1u) / 4u);
    load.w = load_unit(quad * UNITS + block_of(i, block) * 4u + thread % 4u);
  }
  return load;
}

fn store_x(words: vec4<u32>, i: u32) {
  x_tile[i / 8u % SPLITS * (TM / 4u) + quad_of(i / 8u)].words[i % 8u] = words;
}

// Of a block of a quad of rows of x: what x_quantize.wgsl leaves of the sums of its halves.
fn store_sums(words: vec4<u32>, scales: vec4<f32>, tile: u32) {
  let low = (bitcast<vec4<i32>>(words) << vec4(16u)) >> vec4(16u);
  let high = bitcast<vec4<i32>>(words) >> vec4(16u);
  if (BLOCK_SCALES > 1u) {
    x_sums[tile] = vec4<f32>(low) * scales;
    x_sums[TM / 4u * SPLITS + tile] = vec4<f32>(high) * scales;
  } else {
    x_sums[tile] = vec4<f32>(low + high) * scales;
  }
}

// Of the half of a block of a quad of the weight.
fn store_scales(w: Decoded, half: u32, tile: u32) {
  let tiles = TN / 4u * SPLITS;
  if (half == 0u) {
    w_tile[tile].scales = w.scale;
  } else {
    w_more[tile] = w.scale;
  }
  if (MINIMA > 0u) {
    w_more[(BLOCK_SCALES - 1u + half) * tiles + tile] = minimum_of(w);
  }
}

// Blocks past the end are the last one, with scales of 0.
fn store_share(load: Load, block: u32, thread: u32) {
  if (thread < 2u * TM * SPLITS) {
    store_x(load.x0, thread);
  }
  if (THREADS < 2u * TM * SPLITS) {
    store_x(load.x1, thread + THREADS);
  }
  if (thread < TM / 4u * SPLITS) {
    let inside = block + thread % SPLITS < UNITS / 4u;
    let tile = thread % SPLITS * (TM / 4u) + quad_of(thread);
    let scales = select(vec4(0.0), bitcast<vec4<f32>>(load.x_scales), inside);
    x_tile[tile].scales = scales;
    if (MINIMA > 0u) {
      store_sums(load.x_sums, scales, tile);
    }
  }
  if (thread < TN * SPLITS) {
    let tile = thread / 4u % SPLITS * (TN / 4u) + quad_of(thread / 4u);
    let word = thread % 4u * 2u;
    let w = decoded(load.w);
    w_tile[tile].words[word] = less_zeros(w.low);
    w_tile[tile].words[word + 1u] = less_zeros(w.high);
    if (word == 0u) {
      store_scales(w, 0u, tile);
    }
    if (BLOCK_SCALES > 1u && word == 4u) {
      store_scales(w, 1u, tile);
    }
  }
}

// Sums of the four rows of a quad of x with the quads a and b of the weight.
struct Integers {
  a0: vec4<i32>, a1: vec4<i32>, a2: vec4<i32>, a3: vec4<i32>,
  b0: vec4<i32>, b1: vec4<i32>, b2: vec4<i32>, b3: vec4<i32>,
}

struct Sums {
  a0: vec4<f32>, a1: vec4<f32>, a2: vec4<f32>, a3: vec4<f32>,
  b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>,
}

fn dots(x: u32, w: vec4<u32>) -> vec4<i32> {
  return vec4(dot4I8Packed(x, w.x), dot4I8Packed(x, w.y), dot4I8Packed(x, w.z), dot4I8Packed(x, w.w));
}

fn with_words(s: Integers, x: vec4<u32>, a: vec4<u32>, b: vec4<u32>) -> Integers {
  return Integers(s.a0 + dots(x.x, a), s.a1 + dots(x.y, a), s.a2 + dots(x.z, a), s.a3 + dots(x.w, a),
                  s.b0 + dots(x.x, b), s.b1 + dots(x.y, b), s.b2 + dots(x.z, b), s.b3 + dots(x.w, b));
}

// Where a thread's tiles are: a quad of x or two, two of the weight.
struct Places {
  low: u32, high: u32, a: u32, b: u32,
}

// The products of a block or of its half, for each quad of x.
struct Products {
  low: Integers,
  high: Integers,
}

fn with_columns(p: Products, at: Places, word: u32) -> Products {
  let a = w_tile[at.a].words[word];
  let b = w_tile[at.b].words[word];
  let low = with_words(p.low, x_tile[at.low].words[word], a, b);
  if (WIDE) {
    return Products(low, with_words(p.high, x_tile[at.high].words[word], a, b));
  }
  return Products(low, p.high);
}

const ZERO = vec4(MAGIC_BITS);
const NOTHING = Integers(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO);

// Of 16 columns, with those before.
fn with_half(before: Products, at: Places, word: u32) -> Products {
  let p0 = with_columns(before, at, word);
  let p1 = with_columns(p0, at, word + 1u);
  let p2 = with_columns(p1, at, word + 2u);
  return with_columns(p2, at, word + 3u);
}

fn number(bits: vec4<i32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(bits) - MAGIC;
}

fn with_products(s: Sums, p: Integers, x: vec4<f32>, a: vec4<f32>, b: vec4<f32>) -> Sums {
  return Sums(s.a0 + number(p.a0) * (x.x * a), s.a1 + number(p.a1) * (x.y * a),
              s.a2 + number(p.a2) * (x.z * a), s.a3 + number(p.a3) * (x.w * a),
              s.b0 + number(p.b0) * (x.x * b), s.b1 + number(p.b1) * (x.y * b),
              s.b2 + number(p.b2) * (x.z * b), s.b3 + number(p.b3) * (x.w * b));
}

fn with_minima(s: Sums, x: vec4<f32>, a: vec4<f32>, b: vec4<f32>) -> Sums {
  return Sums(s.a0 + x.x * a, s.a1 + x.y * a, s.a2 + x.z * a, s.a3 + x.w * a,
              s.b0 + x.x * b, s.b1 + x.y * b, s.b2 + x.z * b, s.b3 + x.w * b);
}

// The sums for each quad of x.
struct Totals {
  low: Sums,
  high: Sums,
}

fn scale_of(tile: u32, half: u32) -> vec4<f32> {
  if (half > 0u) {
    return w_more[tile];
  }
  return w_tile[tile].scales;
}

fn with_scaled(before: Totals, p: Products, at: Places, half: u32) -> Totals {
  let a = scale_of(at.a, half);
  let b = scale_of(at.b, half);
  var low = with_products(before.low, p.low, x_tile[at.low].scales, a, b);
  var high = before.high;
  if (WIDE) {
    high = with_products(high, p.high, x_tile[at.high].scales, a, b);
  }
  if (MINIMA > 0u) {
    let x_from = half * (TM / 4u * SPLITS);
    let w_from = (BLOCK_SCALES - 1u + half) * (TN / 4u * SPLITS);
    let a_minima = w_more[w_from + at.a];
    let b_minima = w_more[w_from + at.b];
    low = with_minima(low, x_sums[x_from + at.low], a_minima, b_minima);
    if (WIDE) {
      high = with_minima(high, x_sums[x_from + at.high], a_minima, b_minima);
    }
  }
  return Totals(low, high);
}

fn with_ranks(sum: vec4<f32>, x: vec4<f32>, b: array<vec4<f32>, 4>) -> vec4<f32> {
  return sum + x.x * b[0] + x.y * b[1] + x.z * b[2] + x.w * b[3];
}

// What adapters add, in floats: four rows from m on, quads of rows of the weight from n and n + TN / 2.
fn with_adapters(sums: Sums, m: u32, n: u32) -> Sums {
  var s = sums;
  for (var quad = 0u; quad < lora_quads(); quad++) {
    let a = lora_columns(quad, n);
    let b = lora_columns(quad, n + TN / 2u);
    let x0 = lora_input(m, quad);
    let x1 = lora_input(m + 1u, quad);
    let x2 = lora_input(m + 2u, quad);
    let x3 = lora_input(m + 3u, quad);
    s.a0 = with_ranks(s.a0, x0, a);
    s.a1 = with_ranks(s.a1, x1, a);
    s.a2 = with_ranks(s.a2, x2, a);
    s.a3 = with_ranks(s.a3, x3, a);
    s.b0 = with_ranks(s.b0, x0, b);
    s.b1 = with_ranks(s.b1, x1, b);
    s.b2 = with_ranks(s.b2, x2, b);
    s.b3 = with_ranks(s.b3, x3, b);
  }
  return s;
}

// The sum of all splits, for threads of the first; the tiles are not needed any more.
fn together(value: vec4<f32>, split: u32, t: u32) -> vec4<f32> {
  var sum = value;
  if (SPLITS > 1u) {
    workgroupBarrier();
    if (split > 0u) {
      let at = (split - 1u) * SHARE + t;
      w_tile[at / 8u].words[at % 8u] = bitcast<vec4<u32>>(value);
    }
    workgroupBarrier();
    if (split == 0u) {
      for (var other = 0u; other < SPLITS - 1u; other++) {
        let at = other * SHARE + t;
        sum += bitcast<vec4<f32>>(w_tile[at / 8u].words[at % 8u]);
      }
    }
  }
  return sum;
}

fn finish_row(m: u32, n: u32, a: vec4<f32>, b: vec4<f32>, split: u32, t: u32) {
  let sum_a = together(a, split, t);
  let sum_b = together(b, split, t);
  if (split == 0u) {
    emit_quad(m, n, sum_a);
    emit_quad(m, n + TN / 2u, sum_b);
  }
}

fn finish_rows(m: u32, n: u32, s: Sums, split: u32, t: u32) {
  finish_row(m, n, s.a0, s.b0, split, t);
  finish_row(m + 1u, n, s.a1, s.b1, split, t);
  finish_row(m + 2u, n, s.a2, s.b2, split, t);
  finish_row(m + 3u, n, s.a3, s.b3, split, t);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let split = thread / SHARE;
  let t = thread % SHARE;
  let tx = t % (TN / 8u);
  let ty = t / (TN / 8u);
  let m_quad = group.y * (TM / 4u);
  let n_quad = group.x * (TN / 4u);
  let low = split * (TM / 4u) + ty;
  let a = split * (TN / 4u) + tx;
  let at = Places(low, low + TM / 8u, a, a + TN / 8u);
  var sums = Totals();
  var next = load_share(m_quad, n_quad, 0u, thread);
  for (var block = 0u; block < UNITS / 4u; block += SPLITS) {
    store_share(next, block, thread);
    workgroupBarrier();
    next = load_share(m_quad, n_quad, block + SPLITS, thread);
    var found = with_half(Products(NOTHING, NOTHING), at, 0u);
    if (BLOCK_SCALES > 1u) {
      sums = with_scaled(sums, found, at, 0u);
      found = Products(NOTHING, NOTHING);
    }
    sums = with_scaled(sums, with_half(found, at, 4u), at, BLOCK_SCALES - 1u);
    workgroupBarrier();
  }
  let m = (m_quad + ty) * 4u;
  let n = (n_quad + tx) * 4u;
  if (split == 0u) {
    sums.low = with_adapters(sums.low, m, n);
    if (WIDE) {
      sums.high = with_adapters(sums.high, m + TM / 2u, n);
    }
  }
  finish_rows(m, n, sums.low, split, t);
  if (WIDE) {
    finish_rows(m + TM / 2u, n, sums.high, split, t);
  }
}
