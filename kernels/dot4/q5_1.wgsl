// Reads Q5_1 for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

${quant/fives}
${quant/pairs}
${quant/scales_q4_1}
${dot4/affine}
