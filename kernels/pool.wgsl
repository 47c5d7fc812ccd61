// One vector a text from the rows of its positions: y[t] = mean of rows first .. end - 1 of x, made a
// unit vector if NORMALIZE. A first and an end that are one apart pick a row: CLS, or the last.
//
// Purpose   the last step of a text embedder (Sentence-BERT, arXiv 1908.10084)
// Bindings  0 x      [rows][UNITS * 8], f32, padded with zeros
//           1 texts  2 words each: the first row to pool, and the end
//           2 y      [texts][UNITS * 8], f32
// Dispatch  (1, texts) workgroups

${enables}

override UNITS: u32;      // row length in units of 8 columns
override NORMALIZE: bool;
override LANES: u32;      // THREADS
override THREADS: u32;    // a power of two

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> texts: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

${lanes}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let length = UNITS * 2u;
  let text = texts[group.y];
  let place = group.y * length;
  var squares = vec4<f32>();
  for (var i = thread; i < length; i += THREADS) {
    var sum = vec4<f32>();
    for (var row = text.x; row < text.y; row++) {
      sum += x[row * length + i];
    }
    sum /= f32(max(text.y - text.x, 1u));
    squares += sum * sum;
    y[place + i] = sum;
  }
  if (NORMALIZE) {
    let total = dot(lane_sum(squares, thread), vec4(1.0));
    for (var i = thread; i < length; i += THREADS) {
      y[place + i] *= inverseSqrt(max(total, 1e-24));
    }
  }
}
