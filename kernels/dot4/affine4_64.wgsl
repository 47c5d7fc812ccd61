// See dot4/affine4.wgsl: groups of 64 columns.

const GROUP_UNITS = 8u;

${dot4/affine4}
