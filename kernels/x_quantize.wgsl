// Rows of activations to 8 bits, normed first if NORM says so (RMSNorm, arXiv 1910.07467): an element
// is a whole number of 127ths of the greatest in its block of 32.
//
// Purpose   what gemm_dot4.wgsl multiplies
// Bindings  0 x        f32, rows padded with zeros to whole blocks of 32
//           1 vectors  f32: the norm's weight, padded likewise (if NORM)
//           2 y        [quad of rows][block][4 columns]: a word of int8 each row, side by side; from
//                      word SCALES_AT [quad of rows][block]: what 1 stands for, f32 each row; from
//                      word SUMS_AT, if there are any, so: the sum of a block's first 16 columns in
//                      the lower half, of the others in the upper one
// Dispatch  (1, rows / 4) workgroups
// Assumes   a multiple of 4 rows

${enables}

override BLOCKS: u32;      // row length in blocks of 32
override K: u32;           // row length, unpadded
override SCALES_AT: u32;
override SUMS_AT: u32 = 0u;  // 0: no weight that has minima is multiplied
override NORM: bool = false;
override EPS: f32 = 0.0;
override LANES: u32;       // THREADS
override THREADS: u32;     // a power of two, at least 4

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

${lanes}

// What a row is multiplied with, but for its weight.
fn factor_of(m: u32, thread: u32) -> f32 {
  var squares = 0.0;
  for (var i = thread / 4u; i < BLOCKS * 8u; i += THREADS / 4u) {
    let v = x[m * BLOCKS * 8u + i];
    squares += dot(v, v);
  }
  let mine = vec4(thread % 4u) == vec4(0u, 1u, 2u, 3u);
  let totals = lane_sum(select(vec4(0.0), vec4(squares), mine), thread);
  let total = dot(select(vec4(0.0), totals, mine), vec4(1.0));
  return inverseSqrt(total / f32(K) + EPS);
}

fn element(m: u32, i: u32, factor: f32) -> vec4<f32> {
  let v = x[m * BLOCKS * 8u + i];
  if (NORM) {
    return v * factor * vectors[i];
  }
  return v;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.y * 4u + thread % 4u;
  var factor = 1.0;
  if (NORM) {
    factor = factor_of(m, thread);
  }
  for (var block = thread / 4u; block < BLOCKS; block += THREADS / 4u) {
    var most = vec4<f32>();
    for (var i = 0u; i < 8u; i++) {
      most = max(most, abs(element(m, block * 8u + i, factor)));
    }
    let greatest = max(max(most.x, most.y), max(most.z, most.w));
    // Whose inverse is no number counts as nothing.
    let steps = select(0.0, 127.0 / greatest, greatest > 1e-30);
    let at = group.y * BLOCKS + block;
    var low = 0;
    var high = 0;
    for (var i = 0u; i < 8u; i++) {
      let v = round(element(m, block * 8u + i, factor) * steps);
      let word = pack4xI8(vec4<i32>(v));
      y[(at * 8u + i) * 4u + thread % 4u] = word;
      if (SUMS_AT > 0u) {
        let sum = dot4I8Packed(word, 0x01010101u);
        low += select(0, sum, i < 4u);
        high += select(sum, 0, i < 4u);
      }
    }
    y[SCALES_AT + at * 4u + thread % 4u] = bitcast<u32>(greatest / 127.0);
    if (SUMS_AT > 0u) {
      y[SUMS_AT + at * 4u + thread % 4u] = (u32(low) & 0xffffu) | (u32(high) << 16u);
    }
  }
}
