// gemv.wgsl without what lora/parts.wgsl does: of a weight without adapters, or of one whose first half
// lora_shrink.wgsl has made, as in the kernels of more rows. lora_share is linear/finish_lora.wgsl's.

struct LowNothing {
  nothing: f32,
}

fn low_entry(lane: u32) -> LowNothing {
  return LowNothing();
}

fn low_ready(thread: u32) {
}

fn low_held(entry: LowNothing, n: u32, lane: u32) -> LowNothing {
  return entry;
}

fn low_share(held: LowNothing, second: bool, n: u32, lane: u32) -> vec4<f32> {
  return lora_share(0u, n, lane, LANES);
}
