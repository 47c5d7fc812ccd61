// Reads Q4_0 for 8-bit dot products.
//
// All of these readers:
// load_unit(unit)      a unit as it is stored, with what scales it. What is loaded is to be decoded
//                      later: until then nobody waits for it
// decoded(stored)      its codes, low and high: a word a row of the quad, columns 0-3, then 4-7, int8
//                      each; and what scales them
// unit_products(x, w)  a unit of x, as dot4/units.wgsl rounds it, times each row of a decoded one
// less_zeros(codes), minimum_of(w)   what gemm_dot4.wgsl multiplies: a weight is scale * (code less its
//                      zero) + minimum. There are minima if MINIMA is 1, not 0, and BLOCK_SCALES of
//                      both to a block of 32 columns

const ZEROS = 0x08080808u;

${dot4/nibbles}
${quant/scales}
${dot4/scaled}
