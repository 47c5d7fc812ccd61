// Scales of super-blocks of 8 blocks. A quad's take 5 vec4, a word a row: what is of the super-block,
// then what is of blocks 2j and 2j + 1.

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

struct StoredScales {
  all: vec4<u32>,
  own: vec4<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  let at = unit / 32u * 5u;
  return StoredScales(scales[at], scales[at + 1u + unit / 8u % 4u]);
}
