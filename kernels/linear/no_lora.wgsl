// A weight without adapters; see linear/finish_lora.wgsl. Compilers leave out what calls these.

fn lora_quads() -> u32 {
  return 0u;
}

fn lora_input(m: u32, quad: u32) -> vec4<f32> {
  return vec4<f32>();
}

fn lora_columns(quad: u32, n: u32) -> array<vec4<f32>, 4> {
  return array(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
}

fn lora_share(m: u32, n: u32, lane: u32, lanes: u32) -> vec4<f32> {
  return vec4<f32>();
}
