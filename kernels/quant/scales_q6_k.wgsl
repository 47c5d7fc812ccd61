// Scales of Q6_K, in quant/superblocks.wgsl: the scale d as f32; then of two blocks the scales of 16
// columns each, a byte plus 128.

const BLOCK_SCALES = 2u;

${quant/superblocks}

fn scales_in(stored: StoredScales, unit: u32) -> vec4<f32> {
  let own = stored.own >> vec4(unit / 2u % 4u * 8u);
  return bitcast<vec4<f32>>(stored.all) * byte0(own, 0xffu, 128.0);
}

fn scales_of(unit: u32) -> vec4<f32> {
  return scales_in(load_scales(unit), unit);
}
