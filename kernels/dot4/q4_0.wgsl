// Reads Q4_0 for 8-bit dot products.
//
// All of these readers:
// load_unit(unit)      a unit as it is stored, with what scales it. What is loaded is to be decoded
//                      later: until then nobody waits for it
// decoded(stored)      its codes, low and high: a word a row of the quad, columns 0-3, then 4-7, int8
//                      each; and what scales them
// unit_products(x, w)  a unit of x, as dot4/units.wgsl rounds it, times each row of a decoded one

const ZEROS = 0x08080808u;

${dot4/nibbles}
${quant/scales}
${dot4/scaled}
