// What makes the first half of the adapters of the weight that comes next, scale * A x, where x is what the
// kernel makes: a part of it from what each workgroup has. Saves the dispatch of lora_shrink.wgsl;
// lora/parts.wgsl adds the parts up.
// next: what the linear kernel that comes next has as vectors, see linear/finish_lora.wgsl.
// step: see epilogue/rope_append.wgsl, and models/step.py for the scales in it.

override AHEAD_AT: u32;        // the next kernel's LORA_AT
override AHEAD_QUADS: u32;     // quads of ranks of all loaded adapters
override AHEAD_UNITS: u32;     // y's length in units of 8 columns
override STEP_SLOT: u32;       // the word of step that has the row's slot
override LORA_SCALES: u32;     // the first of [slot][adapter], f32
override ADAPTERS: u32;

@group(0) @binding(6) var<storage, read_write> next: array<vec4<f32>>;
${step}

var<workgroup> products: array<f32, THREADS>;

// Of a quad of ranks: where its part of A begins, and its adapter's scale; 0 if it is not in use.
fn ahead_entry(quad: u32) -> vec2<f32> {
  let entry = next[AHEAD_AT + 1u + AHEAD_QUADS + min(quad, AHEAD_QUADS - 1u)];
  let scale = bitcast<f32>(step[LORA_SCALES + step[STEP_SLOT] * ADAPTERS + u32(entry.y)]);
  return vec2(entry.x, select(0.0, scale, quad < u32(next[AHEAD_AT].x)));
}

// A part of four ranks: of each the sum of `wide` products, which begin at `at` and follow each other.
fn ahead_write(part: u32, quad: u32, at: u32, wide: u32) {
  var sum = vec4<f32>();
  for (var i = at; i < at + wide; i++) {
    sum += vec4(products[i], products[i + wide], products[i + 2u * wide], products[i + 3u * wide]);
  }
  next[AHEAD_AT + 1u + (2u + part) * AHEAD_QUADS + quad] = sum;
}
