// What lora_shrink.wgsl does, done by every workgroup of gemv.wgsl for itself: saves a dispatch, but each of
// them reads all of A, which costs less where they are few.
// To be included last: what it calls in source/splits.wgsl has arrays of computed sizes, and naga takes no
// override behind these.

// Whether four ranks reach some of the quads of rows from `first` on that the workgroup has.
fn reaches(quad: u32, first: u32) -> bool {
  let entry = vectors[LORA_AT + 1u + quad];
  let start = u32(entry.y);
  let end = start + u32(entry.z) * select(2u, 1u, entry.w == 0.0);
  return first < end && first + GROUPS * QUADS > start;
}

// LANES threads a quad of ranks, GROUPS quads at a time, those that reach the workgroup's rows. Not divided
// by x's root mean square, as the sum that it is added to.
fn lora_ready(thread: u32, first: u32) {
  let lane = thread % LANES;
  let size = vectors[LORA_AT];
  let used = u32(size.x);
  for (var start = 0u; start < used; start += GROUPS) {
    let quad = start + thread / LANES;
    let known = min(quad, used - 1u);
    let entry = vectors[LORA_AT + 1u + u32(size.z) + known];
    let a_at = u32(entry.x);
    let end = select(0u, UNITS * 2u, quad < used && reaches(known, ROW0 / 4u + first));
    var sum = vec4<f32>();
    for (var i = lane; i < end; i += LANES) {
      var input = source(i);
      if (NORM) {
        input *= vectors[i];
      }
      sum += vec4(dot(vectors[a_at + i], input), dot(vectors[a_at + UNITS * 2u + i], input),
                  dot(vectors[a_at + UNITS * 4u + i], input), dot(vectors[a_at + UNITS * 6u + i], input));
    }
    sum = lane_sum(sum, thread);
    let scale = bitcast<f32>(step[LORA_SCALES + step[LORA_SLOT] * ADAPTERS + u32(entry.y)]);
    if (lane == 0u && quad < used) {
      low[quad] = select(vec4<f32>(), scale * sum, scale != 0.0);
    }
  }
  workgroupBarrier();
}
