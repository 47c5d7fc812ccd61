// Whole numbers in the bytes of words, as floats. Integers are not converted, which GPUs do at an
// eighth of their speed: bits put under the exponent of 2^23, of 2^15 or of 128 are the float 2^23,
// 2^15 or 128 plus the number, which stands in its lowest byte, in the next or in the one after.
// The float takes that, and the number that stands for zero, off again without rounding.

// Of the lowest byte, up to 8 bits.
fn byte0(words: vec4<u32>, bits: u32, zero: f32) -> vec4<f32> {
  return bitcast<vec4<f32>>((words & vec4(bits)) | vec4(0x4b000000u)) - (8388608.0 + zero);
}

fn byte1(words: vec4<u32>, bits: u32, zero: f32) -> vec4<f32> {
  return bitcast<vec4<f32>>((words & vec4(bits << 8u)) | vec4(0x47000000u)) - (32768.0 + zero);
}

// Up to 7 bits.
fn byte2(words: vec4<u32>, bits: u32, zero: f32) -> vec4<f32> {
  return bitcast<vec4<f32>>((words & vec4(bits << 16u)) | vec4(0x43000000u)) - (128.0 + zero);
}

// Columns 0-3 in the bytes of a word a row, columns 4-7 in those of another; up to 7 bits.
fn columns_in(low: vec4<u32>, high: vec4<u32>, bits: u32, zero: f32) -> array<vec4<f32>, 8> {
  return array(byte0(low, bits, zero), byte1(low, bits, zero), byte2(low, bits, zero),
               byte2(low >> vec4(8u), bits, zero),
               byte0(high, bits, zero), byte1(high, bits, zero), byte2(high, bits, zero),
               byte2(high >> vec4(8u), bits, zero));
}
