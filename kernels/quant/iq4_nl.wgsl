// Reader of IQ4_NL: 32 weights of a row = scale * one of 16 numbers, one f16 scale a block.
// See quant/f32.wgsl for what a reader does.

${quant/iq4_values}
${quant/lookup}
${quant/scaled}
${quant/scales}
