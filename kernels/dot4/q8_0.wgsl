// Reads Q8_0 for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

const ZEROS = 0u;

${dot4/bytes}
${quant/scales}
${dot4/scaled}
