// gemv.wgsl of a weight without adapters; see lora/parts.wgsl.

struct LowHeld {
  nothing: f32,
}

fn low_held(n: u32, lane: u32) -> LowHeld {
  return LowHeld();
}

fn low_ready(thread: u32) {
}

fn low_share(held: LowHeld, second: bool, n: u32, lane: u32) -> vec4<f32> {
  return vec4<f32>();
}
