// Reads GPTQ's and AWQ's 4-bit weights for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

const ORIGIN = 0.0;

${dot4/nibbles}
${dot4/zeroed}
