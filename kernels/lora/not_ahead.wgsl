// A kernel behind which no adapters need anything; see lora/ahead.wgsl.

fn ahead_held(thread: u32, part: u32) -> vec4<f32> {
  return vec4<f32>();
}

fn ahead_made(thread: u32, part: u32, held: vec4<f32>) {
}

fn ahead_keep(d: u32, sums: vec4<f32>) {
}

fn ahead_heads(thread: u32, head: u32, n_heads: u32, split: u32) {
}
