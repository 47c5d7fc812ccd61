// Scales and minima of Q4_K and Q5_K, in quant/superblocks.wgsl: the f16 scale d and minimum m; then of
// two blocks, in bytes: scale, minimum, scale, minimum. A block's scale is d times its own, its minimum
// m times its own, taken off.

const BLOCK_SCALES = 1u;

${quant/superblocks}

fn scales_in(stored: StoredScales, unit: u32) -> Scales {
  let all = unpacked(stored.all);
  let own = stored.own >> vec4(unit / 4u % 2u * 16u);
  return Scales(all.scale * byte0(own, 0xffu, 0.0), all.minimum * -byte1(own, 0xffu, 0.0));
}

fn scales_of(unit: u32) -> Scales {
  return scales_in(load_scales(unit), unit);
}
