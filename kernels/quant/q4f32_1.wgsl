// Reader of MLC's q4f32_1: 32 weights of a row = scale * (nibble - 7), one bfloat16 scale a group.

const ZERO = 7.0;

${quant/scales_bf16}
${quant/fours}
