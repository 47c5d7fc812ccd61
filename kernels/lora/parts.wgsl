// gemv.wgsl of a weight with adapters, whose scale * A x the dispatch before has made in parts, one for
// each of its workgroups (lora/ahead.wgsl): every workgroup adds them up for itself. Saves the dispatch
// of lora_shrink.wgsl, and reads less than A would be.
// The parts lie where linear/finish_lora.wgsl has rows of x. Loads come before what is waited for.
// To be included last: what it calls in source/splits.wgsl has arrays of computed sizes, and naga takes no
// override behind these.

var<workgroup> low: array<vec4<f32>, LORA_QUADS>;

// B's columns of the lane's first rank, for one or two quads of rows.
struct LowHeld {
  entry: vec4<f32>,
  b0: vec4<f32>,
  b1: vec4<f32>,
}

fn low_held(n: u32, lane: u32) -> LowHeld {
  let entry = lora_entry(min(lane / 4u, LORA_QUADS - 1u));
  var held = LowHeld(entry, lora_loaded(entry, lane % 4u, n), vec4<f32>());
  if (QUADS > 1u) {
    held.b1 = lora_loaded(entry, lane % 4u, n + 4u);
  }
  return held;
}

// What a part counts for; there may be anything in those that count for nothing.
fn low_part(part: u32, quad: u32) -> vec4<f32> {
  let weight = part_weight(part);
  let value = vectors[LORA_AT + 1u + (2u + part) * LORA_QUADS + quad];
  return select(vec4<f32>(), weight * value, weight != 0.0);
}

// Up to 16 quads of ranks at a time: of each, so many threads share the parts as there are.
fn low_ready(thread: u32) {
  let used = lora_quads();
  let wide = min(min(LORA_QUADS, 16u), THREADS);
  let shares = min(THREADS / wide, LORA_PARTS);
  for (var start = 0u; start < LORA_QUADS; start += wide) {
    if (start > 0u && start >= used) {
      break;
    }
    let quad = min(start + thread % wide, LORA_QUADS - 1u);
    var sum = vec4<f32>();
    var part = select(LORA_PARTS, thread / wide, thread < shares * wide);
    for (; part + 3u * shares < LORA_PARTS; part += 4u * shares) {
      let a = low_part(part, quad);
      let b = low_part(part + shares, quad);
      let c = low_part(part + 2u * shares, quad);
      let d = low_part(part + 3u * shares, quad);
      sum += a + b + c + d;
    }
    for (; part < LORA_PARTS; part += shares) {
      sum += low_part(part, quad);
    }
    lane_scratch[thread] = sum;
    workgroupBarrier();
    if (thread < wide && start + thread < LORA_QUADS) {
      for (var other = thread + wide; other < shares * wide; other += wide) {
        sum += lane_scratch[other];
      }
      low[quad] = sum;
    }
    workgroupBarrier();
  }
}

// What a lane adds to rows n .. n + 3 of the slice, the first or the second quad that it has.
fn low_share(held: LowHeld, second: bool, n: u32, lane: u32) -> vec4<f32> {
  let used = 4u * lora_quads();
  if (lane >= used) {
    return vec4<f32>();
  }
  var sum = low[lane / 4u][lane % 4u] * lora_shaped(held.entry, select(held.b0, held.b1, second), n);
  for (var rank = lane + LANES; rank < used; rank += LANES) {
    let entry = lora_entry(rank / 4u);
    sum += low[rank / 4u][rank % 4u] * lora_shaped(entry, lora_loaded(entry, rank % 4u, n), n);
  }
  return sum;
}
