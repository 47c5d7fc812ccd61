// As quant/scales.wgsl, of bfloat16.

const BLOCK_SCALES = 1u;

@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

struct StoredScales {
  words: vec2<u32>,
}

fn load_scales(unit: u32) -> StoredScales {
  return StoredScales(scales[unit / 4u]);
}

fn scales_in(stored: StoredScales, unit: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(stored.words.x << 16u, stored.words.x & 0xffff0000u,
                                 stored.words.y << 16u, stored.words.y & 0xffff0000u));
}

fn scales_of(unit: u32) -> vec4<f32> {
  return scales_in(load_scales(unit), unit);
}
