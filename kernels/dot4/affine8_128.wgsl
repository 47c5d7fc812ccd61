// See dot4/affine8.wgsl: groups of 128 columns.

const GROUP_UNITS = 16u;

${dot4/affine8}
