// As dot4/scales.wgsl, of bfloat16.

@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn scales_of(stored: Stored) -> vec4<f32> {
  let s = stored.scales;
  return bitcast<vec4<f32>>(vec4(s.x << 16u, s.x & 0xffff0000u, s.y << 16u, s.y & 0xffff0000u));
}
