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

// Where a quad of ranks has its part of A, and of which adapter; how many quads are in use; the row's slot.
// To be loaded long before the scale and A are, which wait for it.
struct AheadQuad {
  entry: vec4<f32>,
  used: f32,
  slot: u32,
}

fn ahead_quad(quad: u32) -> AheadQuad {
  let entry = next[AHEAD_AT + 1u + AHEAD_QUADS + min(quad, AHEAD_QUADS - 1u)];
  return AheadQuad(entry, next[AHEAD_AT].x, step[STEP_SLOT]);
}

fn ahead_scale(known: AheadQuad) -> f32 {
  return bitcast<f32>(step[LORA_SCALES + known.slot * ADAPTERS + u32(known.entry.y)]);
}

// A part of four ranks: of each the sum of `wide` products, which begin at `at` and follow each other.
fn ahead_write(part: u32, quad: u32, at: u32, wide: u32) {
  var sum = vec4<f32>();
  for (var i = at; i < at + wide; i++) {
    sum += vec4(products[i], products[i + wide], products[i + 2u * wide], products[i + 3u * wide]);
  }
  next[AHEAD_AT + 1u + (2u + part) * AHEAD_QUADS + quad] = sum;
}
