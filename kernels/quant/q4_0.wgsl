// Reader of Q4_0: 32 weights of a row = scale * (nibble - 8), one f16 scale a block.

const ZERO = 8.0;

${quant/scales}
${quant/fours}
