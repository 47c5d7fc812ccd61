// Reads MLC's q4f32_1 for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

const ZEROS = 0x07070707u;

${dot4/nibbles}
${quant/scales_bf16}
${dot4/scaled}
