// Words of 2 bits or 1 bit a weight. Of 2, a word a row has 16 columns, 2 units; of 1 it has 32, 4
// units. A unit's bits stand in the lowest bits of each byte once the word is shifted: those of columns
// 0-3 first, above them those of columns 4-7.

fn shifted_pairs(words: vec4<u32>, unit: u32) -> vec4<u32> {
  return words >> vec4(unit % 2u * 4u);
}

fn shifted_bits(words: vec4<u32>, unit: u32) -> vec4<u32> {
  return words >> vec4(unit % 4u * 2u);
}
