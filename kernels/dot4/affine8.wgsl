// Reads GPTQ's 8-bit weights for 8-bit dot products. See dot4/q4_0.wgsl for what a reader does.

const ORIGIN = 128.0;

${dot4/bytes}
${dot4/zeroed}
