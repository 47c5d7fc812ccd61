// A kernel of a row behind which no adapters need anything; see lora/ahead_row.wgsl.

struct AheadNothing {
  nothing: f32,
}

fn ahead_known(thread: u32) -> AheadNothing {
  return AheadNothing();
}

fn ahead_held(known: AheadNothing, thread: u32, part: u32) -> AheadNothing {
  return known;
}

fn ahead_keep(share: u32, shares: u32, part: u32) {
}

fn ahead_made(thread: u32, part: u32, held: AheadNothing) {
}
