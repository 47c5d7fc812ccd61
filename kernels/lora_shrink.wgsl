// The first half of low-rank adapters: scale * A x, which linear/finish_lora.wgsl multiplies with B.
//
// Purpose   before a linear layer that has adapters, for all that are in use at once: each row of x has
//           the scales of its own request, 0 for adapters that it does without
// Bindings  0 x       rows of activations, f32, padded with zeros to whole blocks of 32
//           1 lora    what the linear kernel has as vectors: the norm's weight, A; out: scale * A x
//           2 step    see epilogue/rope_append.wgsl, and models/step.py for the scales in it
// Dispatch  (quads of ranks, ceil(rows / ROWS)) workgroups
//
// With NORM, x is multiplied with the norm's weight, and divided by its root mean square only with
// DIVIDE: gemv.wgsl and gemv_rows.wgsl do that to the sum of both products.

${enables}

override UNITS: u32;             // row length in units of 8 columns
override K: u32;                 // row length, unpadded
override LORA_AT: u32;           // see linear/finish_lora.wgsl
override LORA_QUADS: u32;
override ROWS: u32;              // rows of x a workgroup: 1 or 4
override ADAPTERS: u32;          // that there are scales of
override LORA_SCALES: u32;       // the first of them in step
override STEP_ROWS: u32;
override NORM: bool = false;
override DIVIDE: bool = false;
override EPS: f32 = 0.0;
override LANES: u32;             // THREADS
override THREADS: u32;           // a power of two

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> lora: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> step: array<u32>;

${lanes}

// Of a row's request and the quad's adapter; rows past the step's end have none.
fn scale_of(m: u32, adapter: u32) -> f32 {
  if (m >= step[0]) {
    return 0.0;
  }
  return bitcast<f32>(step[LORA_SCALES + step[STEP_ROWS + 4u * m + 2u] * ADAPTERS + adapter]);
}

struct Sum {
  v: vec4<f32>,
  squares: f32,
}

fn added(sum: Sum, m: u32, i: u32, a: array<vec4<f32>, 4>) -> Sum {
  let value = x[m * UNITS * 2u + i];
  var input = value;
  if (NORM) {
    input *= lora[i];
  }
  let v = vec4(dot(a[0], input), dot(a[1], input), dot(a[2], input), dot(a[3], input));
  return Sum(sum.v + v, sum.squares + dot(value, value));
}

fn finish(m: u32, quad: u32, sum: Sum, scale: f32, thread: u32) {
  var v = lane_sum(sum.v, thread);
  if (DIVIDE) {
    let total = lane_sum(vec4(sum.squares, 0.0, 0.0, 0.0), thread).x;
    v *= inverseSqrt(total / f32(K) + EPS);
  }
  if (thread == 0u) {
    let at = LORA_AT + 1u + (2u + m) * LORA_QUADS + quad;
    lora[at] = select(vec4<f32>(), scale * v, scale != 0.0);
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let quad = group.x;
  let m = group.y * ROWS;
  let entry = lora[LORA_AT + 1u + LORA_QUADS + quad];
  let a_at = u32(entry.x);
  let adapter = u32(entry.y);
  let scale0 = scale_of(m, adapter);
  var scale1 = 0.0; var scale2 = 0.0; var scale3 = 0.0;
  if (ROWS > 1u) {
    scale1 = scale_of(m + 1u, adapter);
    scale2 = scale_of(m + 2u, adapter);
    scale3 = scale_of(m + 3u, adapter);
  }
  let end = select(0u, UNITS * 2u, quad < u32(lora[LORA_AT].x));
  var s0 = Sum(); var s1 = Sum(); var s2 = Sum(); var s3 = Sum();
  for (var i = thread; i < end; i += THREADS) {
    let a = array(lora[a_at + i], lora[a_at + UNITS * 2u + i],
                  lora[a_at + UNITS * 4u + i], lora[a_at + UNITS * 6u + i]);
    s0 = added(s0, m, i, a);
    if (ROWS > 1u) {
      s1 = added(s1, m + 1u, i, a);
      s2 = added(s2, m + 2u, i, a);
      s3 = added(s3, m + 3u, i, a);
    }
  }
  finish(m, quad, s0, scale0, thread);
  if (ROWS > 1u) {
    finish(m + 1u, quad, s1, scale1, thread);
    finish(m + 2u, quad, s2, scale2, thread);
    finish(m + 3u, quad, s3, scale3, thread);
  }
}
