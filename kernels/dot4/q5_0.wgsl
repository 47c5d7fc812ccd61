// Reads Q5_0 for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

const ZEROS = 0x10101010u;

${quant/fives}
${quant/scales}
${dot4/scaled}
