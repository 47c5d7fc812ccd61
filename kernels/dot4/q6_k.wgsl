// Reads Q6_K for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

const ZEROS = 0x20202020u;

${quant/sixes}
${quant/scales_q6_k}
${dot4/scaled}
