// See quant/affine4.wgsl: groups of 128 columns.

const GROUP_UNITS = 16u;

${quant/affine4}
