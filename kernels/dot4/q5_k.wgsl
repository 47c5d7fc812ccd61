// Reads Q5_K for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

${quant/fives}
${quant/pairs}
${quant/scales_k}
${dot4/affine}
