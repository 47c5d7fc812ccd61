// lora/ahead.wgsl in attention_split.wgsl: a part of each head's split, of its sums as they are.
// lora/parts.wgsl weights them as source/splits.wgsl weights the sums.

${lora/ahead}

// Element d of four heads, for all threads.
fn ahead_keep(d: u32, sums: vec4<f32>) {
  q_tile[d] = sums;
}

fn ahead_known(thread: u32, n_heads: u32) -> AheadQuad {
  return ahead_quad(thread / 4u / n_heads);
}

// A thread multiplies a head's elements with a rank, four loads at a time so that they wait together.
fn ahead_heads(thread: u32, head: u32, n_heads: u32, split: u32, first: AheadQuad) {
  workgroupBarrier();
  let end = HEAD_DIM / 4u;
  for (var start = 0u; start < 4u * AHEAD_QUADS * n_heads; start += THREADS) {
    let h = (start + thread) / 4u % n_heads;
    let quad = (start + thread) / 4u / n_heads;
    var known = first;
    if (start > 0u) {
      known = ahead_quad(quad);
    }
    let scale = ahead_scale(known);
    let at = u32(known.entry.x) + thread % 4u * 2u * AHEAD_UNITS + (head + h) * end;
    var sum = 0.0;
    var i = 0u;
    for (; i + 4u <= end; i += 4u) {
      let a = next[at + i];
      let b = next[at + i + 1u];
      let c = next[at + i + 2u];
      let d = next[at + i + 3u];
      sum += ahead_dot(a, i, h) + ahead_dot(b, i + 1u, h) + ahead_dot(c, i + 2u, h) + ahead_dot(d, i + 3u, h);
    }
    for (; i < end; i++) {
      sum += ahead_dot(next[at + i], i, h);
    }
    products[thread] = select(0.0, scale * sum, quad < u32(known.used) && scale != 0.0);
    workgroupBarrier();
    if (thread % 4u == 0u && quad < AHEAD_QUADS) {
      ahead_write((head + h) * SPLITS + split, quad, thread, 1u);
    }
    workgroupBarrier();
  }
}

fn ahead_dot(a: vec4<f32>, i: u32, h: u32) -> f32 {
  return dot(a, vec4(q_tile[4u * i][h], q_tile[4u * i + 1u][h], q_tile[4u * i + 2u][h], q_tile[4u * i + 3u][h]));
}
