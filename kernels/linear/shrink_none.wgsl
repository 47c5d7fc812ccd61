// gemv.wgsl without adapters, or with what lora_shrink.wgsl did for it.

fn lora_ready(thread: u32, first: u32) {
}
