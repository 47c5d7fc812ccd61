// See quant/affine8.wgsl: groups of 32 columns.

const GROUP_UNITS = 4u;

${quant/affine8}
