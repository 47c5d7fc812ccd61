// The end of a reader whose weights are scale * (code - zero), as quant/zeroed.wgsl has them: it has
// codes, less ORIGIN, and GROUP_UNITS.

const BLOCK_SCALES = 1u;

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

struct StoredScales {
  words: vec4<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  return StoredScales(scales[unit / GROUP_UNITS]);
}

${quant/pairs}

fn scales_in(stored: StoredScales, unit: u32) -> Scales {
  let pair = unpacked(stored.words);
  return Scales(pair.scale, (ORIGIN - pair.minimum) * pair.scale);
}

${dot4/affine}
