// Reads Q3_K for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

const ZEROS = 0x04040404u;

${quant/threes}
${quant/scales_q3_k}
${dot4/scaled}
