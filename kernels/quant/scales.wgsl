// One f16 scale a block: quad by quad, block by block, four for the four rows in two words.

const BLOCK_SCALES = 1u;

@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

struct StoredScales {
  words: vec2<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  return StoredScales(scales[unit / 4u]);
}

fn scales_in(stored: StoredScales, unit: u32) -> vec4<f32> {
  return vec4(unpack2x16float(stored.words.x), unpack2x16float(stored.words.y));
}

fn scales_of(unit: u32) -> vec4<f32> {
  return scales_in(load_scales(unit), unit);
}
