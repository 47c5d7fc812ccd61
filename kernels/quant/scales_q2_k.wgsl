// Scales and minima of Q2_K, in quant/superblocks.wgsl: the f16 scale d and minimum m; then of two
// blocks those of 16 columns each, a byte with the scale in the low nibble, the minimum in the high one.

const BLOCK_SCALES = 2u;

${quant/superblocks}

fn scales_in(stored: StoredScales, unit: u32) -> Scales {
  let all = unpacked(stored.all);
  let own = stored.own >> vec4(unit / 2u % 4u * 8u);
  return Scales(all.scale * byte0(own, 15u, 0.0), all.minimum * -byte0(own >> vec4(4u), 15u, 0.0));
}

fn scales_of(unit: u32) -> Scales {
  return scales_in(load_scales(unit), unit);
}
