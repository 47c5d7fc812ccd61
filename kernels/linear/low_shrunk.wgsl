// scale * A x as lora_shrink.wgsl left it, for finish_lora.wgsl.

// What four ranks have of row m of x: zeros where its request does without the adapter.
fn lora_input(m: u32, quad: u32) -> vec4<f32> {
  return vectors[LORA_AT + 1u + (2u + m) * u32(vectors[LORA_AT].z) + quad];
}
