// gemv.wgsl of a weight with adapters, whose scale * A x the dispatch before has made in parts, one for
// each of its workgroups (lora/ahead.wgsl): every workgroup adds them up for itself. Saves the dispatch
// of lora_shrink.wgsl, and reads less than A would be.
// The parts lie where linear/finish_lora.wgsl has rows of x. Loads come before what is waited for.
// To be included last: what it calls in source/splits.wgsl has arrays of computed sizes, and naga takes no
// override behind these.

var<workgroup> low_sums: array<vec4<f32>, LORA_QUADS>;

// Of the lane's first rank: the quad's entry, and how many quads are in use.
struct LowEntry {
  entry: vec4<f32>,
  used: f32,
}

fn low_entry(lane: u32) -> LowEntry {
  return LowEntry(lora_entry(min(lane / 4u, LORA_QUADS - 1u)), vectors[LORA_AT].x);
}

// What a part counts for; there may be anything in those that count for nothing.
fn low_part(wanted: u32, quad: u32) -> vec4<f32> {
  let part = min(wanted, LORA_PARTS - 1u);
  let weight = select(0.0, part_weight(part), wanted < LORA_PARTS);
  let value = vectors[LORA_AT + 1u + (2u + part) * LORA_QUADS + quad];
  return select(vec4<f32>(), weight * value, weight != 0.0);
}

// Up to 16 quads of ranks at a time: so many threads share the parts of each as there are.
fn low_ready(thread: u32) {
  let wide = min(min(LORA_QUADS, 16u), THREADS);
  let shares = min(THREADS / wide, LORA_PARTS);
  for (var start = 0u; start < LORA_QUADS; start += wide) {
    if (start > 0u && start >= lora_quads()) {
      break;
    }
    let quad = min(start + thread % wide, LORA_QUADS - 1u);
    var sum = vec4<f32>();
    for (var part = thread / wide; part < LORA_PARTS; part += 8u * shares) {
      let a = low_part(part, quad);
      let b = low_part(part + shares, quad);
      let c = low_part(part + 2u * shares, quad);
      let d = low_part(part + 3u * shares, quad);
      let e = low_part(part + 4u * shares, quad);
      let f = low_part(part + 5u * shares, quad);
      let g = low_part(part + 6u * shares, quad);
      let h = low_part(part + 7u * shares, quad);
      sum += ((a + b) + (c + d)) + ((e + f) + (g + h));
    }
    lane_scratch[thread] = sum;
    workgroupBarrier();
    if (thread < wide && start + thread < LORA_QUADS) {
      for (var other = thread + wide; other < shares * wide; other += wide) {
        sum += lane_scratch[other];
      }
      low_sums[quad] = sum;
    }
    workgroupBarrier();
  }
}

// B's columns of the lane's first rank, for one or two quads of rows.
struct LowHeld {
  entry: LowEntry,
  b0: vec4<f32>,
  b1: vec4<f32>,
}

fn low_held(entry: LowEntry, n: u32, lane: u32) -> LowHeld {
  var held = LowHeld(entry, lora_loaded(entry.entry, lane % 4u, n), vec4<f32>());
  if (QUADS > 1u) {
    held.b1 = lora_loaded(entry.entry, lane % 4u, n + 4u);
  }
  return held;
}

// What a lane adds to rows n .. n + 3 of the slice, the first or the second quad that it has.
fn low_share(held: LowHeld, second: bool, n: u32, lane: u32) -> vec4<f32> {
  let used = 4u * u32(held.entry.used);
  if (lane >= used) {
    return vec4<f32>();
  }
  let b = select(held.b0, held.b1, second);
  var sum = low_sums[lane / 4u][lane % 4u] * lora_shaped(held.entry.entry, b, n);
  for (var rank = lane + LANES; rank < used; rank += LANES) {
    let entry = lora_entry(rank / 4u);
    sum += low_sums[rank / 4u][rank % 4u] * lora_shaped(entry, lora_loaded(entry, rank % 4u, n), n);
  }
  return sum;
}
