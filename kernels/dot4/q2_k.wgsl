// Reads Q2_K for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

${quant/twos}
${quant/pairs}
${quant/scales_q2_k}
${dot4/affine}
