// attention_split.wgsl without what lora/ahead_heads.wgsl does.

struct AheadNothing {
  nothing: f32,
}

fn ahead_known(thread: u32, n_heads: u32) -> AheadNothing {
  return AheadNothing();
}

fn ahead_keep(d: u32, sums: vec4<f32>) {
}

fn ahead_heads(thread: u32, head: u32, n_heads: u32, split: u32, known: AheadNothing) {
}
