// See quant/fp8.wgsl: groups of 32 columns.

const GROUP_UNITS = 4u;

${quant/fp8}
