// lora/ahead.wgsl in attention_split.wgsl: a part of each head's split, of its sums as they are.
// lora/parts.wgsl weights them as source/splits.wgsl weights the sums.

${lora/ahead}

// Element d of four heads, for all threads.
fn ahead_keep(d: u32, sums: vec4<f32>) {
  q_tile[d] = sums;
}

// A thread multiplies a head's elements with a rank, two loads at a time so that they wait together.
fn ahead_heads(thread: u32, head: u32, n_heads: u32, split: u32) {
  workgroupBarrier();
  for (var start = 0u; start < 4u * AHEAD_QUADS * n_heads; start += THREADS) {
    let i = (start + thread) / 4u;
    let h = i % n_heads;
    let quad = i / n_heads;
    let entry = ahead_entry(quad);
    let at = u32(entry.x) + thread % 4u * 2u * AHEAD_UNITS + (head + h) * (HEAD_DIM / 4u);
    var sum = 0.0;
    for (var d = 0u; d < HEAD_DIM / 4u; d += 2u) {
      let a = next[at + d];
      let b = next[at + d + 1u];
      sum += ahead_dot(a, 4u * d, h) + ahead_dot(b, 4u * d + 4u, h);
    }
    products[thread] = select(0.0, entry.y * sum, entry.y != 0.0);
    workgroupBarrier();
    if (thread % 4u == 0u && quad < AHEAD_QUADS) {
      ahead_write((head + h) * SPLITS + split, quad, thread, 1u);
    }
    workgroupBarrier();
  }
}

fn ahead_dot(a: vec4<f32>, d: u32, h: u32) -> f32 {
  return dot(a, vec4(q_tile[d][h], q_tile[d + 1u][h], q_tile[d + 2u][h], q_tile[d + 3u][h]));
}
