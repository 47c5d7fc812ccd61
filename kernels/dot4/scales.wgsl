// One f16 scale a block, as in quant/scales.wgsl, kept with a unit as scales.

@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn scales_of(stored: Stored) -> vec4<f32> {
  return vec4(unpack2x16float(stored.scales.x), unpack2x16float(stored.scales.y));
}
