// Reader of MLC's q4f16_1: 32 weights of a row = scale * (nibble - 7), one f16 scale a group.

const ZERO = 7.0;

${quant/scales}
${quant/fours}
