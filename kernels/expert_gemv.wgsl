// Rows of activations times the matrices of the experts that each goes to: for the i-th of its TOP
// experts v[m * TOP + i][n] = sum_k W[n][k] * x[m][k] (+ bias[n]), or with SUM, whose rows of x are
// those of v, v[m][n] = the sum of all TOP, weighted.
//
// Purpose   mixtures of experts: both halves of their MLPs
// Bindings  0 x        rows of activations, f32, padded with zeros to whole blocks of 32
//           1 quants, 2 scales   the experts' rows, one expert behind the other (the reader declares them)
//           3 vectors  f32: bias by row of all experts (if BIAS)
//           4 y        the epilogue's
//           5 route    see route.wgsl
// Dispatch  (ceil(EXPERT_ROWS / (4 * GROUPS)), TOP, rows) workgroups; with SUM (..., 1, rows)
// Assumes   EXPERT_ROWS a multiple of 4; a slice holds whole experts; emit() takes pairs of rows
//
// LANES threads share a quad of rows. What a slice does not hold, another one's dispatch adds. The
// product snippet says whether x is multiplied as it is (experts/floats.wgsl) or in 8 bits
// (experts/rounded.wgsl, with a reader of dot4).

${enables}

override UNITS: u32;             // row length in units of 8 columns
override EXPERT_ROWS: u32;       // rows of an expert's matrix
override TOP: u32;
override SUM: bool;
override LANES: u32;             // threads along a row, a power of two
override GROUPS: u32;            // quads a workgroup
override THREADS: u32;           // LANES * GROUPS

@group(0) @binding(5) var<storage, read> route: array<u32>;

${quant}
${epilogue}
${finish}
${lanes}

// The first row of an expert within the slice; past its end if it is not there.
fn first_row(expert: u32) -> u32 {
  return expert * EXPERT_ROWS - ROW0;
}

// A quad's sum with the bias of its rows, which the first lane adds.
fn with_bias(sum: vec4<f32>, expert: u32, quad: u32, lane: u32) -> vec4<f32> {
  if (lane > 0u) {
    return sum;
  }
  let row = expert * EXPERT_ROWS + quad * 4u;
  return vec4(biased(row, sum.x), biased(row + 1u, sum.y), biased(row + 2u, sum.z), biased(row + 3u, sum.w));
}

${product}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let lane = thread % LANES;
  let wanted = group.x * GROUPS + thread / LANES;
  let quad = min(wanted, EXPERT_ROWS / 4u - 1u);  // past the end: not emitted
  let first = group.z * TOP;
  var sum = vec4<f32>();
  var held = SUM;
  if (SUM) {
    for (var i = first; i < first + TOP; i++) {
      if (first_row(route[2u * i]) < SLICE) {
        sum += product(i, route[2u * i], quad, thread) * bitcast<f32>(route[2u * i + 1u]);
      }
    }
  } else {
    let expert = route[2u * (first + group.y)];
    held = first_row(expert) < SLICE;
    if (held) {
      sum = product(group.z, expert, quad, thread);
    }
  }
  sum = lane_sum(sum, thread);
  if (lane == 0u && held && wanted == quad) {
    let m = select(first + group.y, group.z, SUM);
    emit(m, quad * 4u, sum.xy);
    emit(m, quad * 4u + 2u, sum.zw);
  }
}
