// One f16 scale and one f16 minimum a block: quad by quad, block by block, a word a row.

const BLOCK_SCALES = 1u;

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

struct StoredScales {
  words: vec4<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  return StoredScales(scales[unit / 4u]);
}

fn scales_in(stored: StoredScales, unit: u32) -> Scales {
  return unpacked(stored.words);
}

fn scales_of(unit: u32) -> Scales {
  return scales_in(load_scales(unit), unit);
}
