// As quant/scales.wgsl, of bfloat16.

@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

fn scales_of(unit: u32) -> vec4<f32> {
  let packed = scales[unit / 4u];
  return bitcast<vec4<f32>>(vec4(packed.x << 16u, packed.x & 0xffff0000u,
                                 packed.y << 16u, packed.y & 0xffff0000u));
}
