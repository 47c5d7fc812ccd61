// Reads Q4_1 for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

${dot4/nibbles}
${quant/pairs}
${quant/scales_q4_1}
${dot4/affine}
