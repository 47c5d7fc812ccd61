// See quant/affine4.wgsl: groups of 64 columns.

const GROUP_UNITS = 8u;

${quant/affine4}
