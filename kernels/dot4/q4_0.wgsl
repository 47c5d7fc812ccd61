// Reads Q4_0, as quant/fours.wgsl lays it out, for 8-bit dot products.
//
// All of these readers:
// load_unit(unit)      a unit as it is stored, with what scales it. What is loaded is to be decoded
//                      later: until then nobody waits for it
// decoded(stored)      its codes, a word a row of the quad, columns 0-3, then 4-7; int8 each
// unit_products(x, w)  a unit of x, as dot4/units.wgsl rounds it, times each row of a decoded one
//
// Those whose blocks of 32 columns have a scale and no minimum, for gemm_dot4.wgsl:
// signed_words(stored) the codes less what stands for zero
// scales_of(stored)    what 1 stands for in each row of the quad

const ZEROS = 0x08080808u;

${dot4/scales}
${dot4/fours}
