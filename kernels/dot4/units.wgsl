// Units of x, 8 columns in 8 bits, and their products with a unit of the weight.
//
// Integers are not converted to floats, which GPUs do at a fraction of their speed: added to the bits
// of MAGIC, an integer is the end of a float's mantissa. A unit's stay below 8 * 127 * 255 < 2^22.

const MAGIC = 12582912.0;        // 1.5 * 2^23
const MAGIC_BITS = 0x4b400000;
const ONES = 0x01010101u;

// Whole numbers at the end of their mantissas: two's complement in the last byte.
fn packed(whole: vec4<f32>) -> u32 {
  let bits = bitcast<vec4<u32>>(whole) & vec4(0xffu);
  return bits.x | (bits.y << 8u) | (bits.z << 16u) | (bits.w << 24u);
}

// Whole numbers of 127ths of the greatest: columns 0-3 and 4-7 as int8; the bits of their sum, and of
// what 1 stands for, as floats.
fn rounded(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
  let most = max(abs(low), abs(high));
  let greatest = max(max(most.x, most.y), max(most.z, most.w));
  // Whose inverse is no number counts as nothing.
  let steps = select(0.0, 127.0 / greatest, greatest > 1e-30);
  let a = packed(low * steps + MAGIC);
  let b = packed(high * steps + MAGIC);
  let sum = bitcast<f32>(MAGIC_BITS + dot4I8Packed(a, ONES) + dot4I8Packed(b, ONES)) - MAGIC;
  return vec4(a, b, bitcast<u32>(sum), bitcast<u32>(greatest / 127.0));
}

// MAGIC and the whole numbers of x times each row's.
fn dots_of_unit(x: vec4<u32>, low: vec4<u32>, high: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(
    MAGIC_BITS + dot4I8Packed(low.x, x.x) + dot4I8Packed(high.x, x.y),
    MAGIC_BITS + dot4I8Packed(low.y, x.x) + dot4I8Packed(high.y, x.y),
    MAGIC_BITS + dot4I8Packed(low.z, x.x) + dot4I8Packed(high.z, x.y),
    MAGIC_BITS + dot4I8Packed(low.w, x.x) + dot4I8Packed(high.w, x.y)));
}
