// Scales of super-blocks: 8 blocks, 256 columns. A quad's take SCALE_VECTORS vec4, each a word a row.

@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

fn store_scales(unit: u32, row: u32, vector: u32, word: u32) {
  scales[unit / 32u * (4u * SCALE_VECTORS) + 4u * vector + row % 4u] = word;
}

// A float16 as the bits of a float32.
fn widened(half: u32) -> u32 {
  return bitcast<u32>(unpack2x16float(half).x);
}
