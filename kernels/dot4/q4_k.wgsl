// Reads Q4_K for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

${dot4/nibbles}
${quant/bytes}
${quant/pairs}
${quant/scales_k}
${dot4/affine}
