// Reads MLC's q4f32_1, as quant/fours.wgsl lays it out, for 8-bit dot products. See dot4/q4_0.wgsl for
// what a reader does.

const ZEROS = 0x07070707u;

${dot4/scales_bf16}
${dot4/fours}
