// gemv.wgsl of a weight with adapters whose first half lora_shrink.wgsl has made: as in the kernels of
// more rows, see linear/finish_lora.wgsl.

struct LowHeld {
  nothing: f32,
}

fn low_held(n: u32, lane: u32) -> LowHeld {
  return LowHeld();
}

fn low_ready(thread: u32) {
}

fn low_share(held: LowHeld, second: bool, n: u32, lane: u32) -> vec4<f32> {
  return lora_share(0u, n, lane, LANES);
}
