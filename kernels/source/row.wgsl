// The row that gemv.wgsl multiplies with: as it stands in a buffer.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

fn source_ready(thread: u32) {
}

// Columns 4 * i .. 4 * i + 3.
fn source(i: u32) -> vec4<f32> {
  return x[i];
}

// What lora/parts.wgsl takes a part for.
fn part_weight(part: u32) -> f32 {
  return 1.0;
}
