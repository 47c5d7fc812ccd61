// scale * A x, made by every workgroup of gemv.wgsl for itself, for finish_lora.wgsl; see shrink_own.wgsl.
// step: see epilogue/rope_append.wgsl, and models/step.py for the scales in it.

override LORA_SLOT: u32;       // the word of step that has the row's slot
override LORA_SCALES: u32;     // the first of [slot][adapter], f32
override ADAPTERS: u32;

${step}

var<workgroup> low: array<vec4<f32>, 64>;

fn lora_input(m: u32, quad: u32) -> vec4<f32> {
  return low[quad];
}
