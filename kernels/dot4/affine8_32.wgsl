// See dot4/affine8.wgsl: groups of 32 columns.

const GROUP_UNITS = 4u;

${dot4/affine8}
