// See quant/fp8.wgsl: groups of 128 columns.

const GROUP_UNITS = 16u;

${quant/fp8}
