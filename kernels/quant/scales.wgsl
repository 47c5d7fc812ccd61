// One f16 scale a block: quad by quad, block by block, four for the four rows in two words.

@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn scales_of(unit: u32) -> vec4<f32> {
  let packed = scales[unit / 4u];
  return vec4(unpack2x16float(packed.x), unpack2x16float(packed.y));
}
