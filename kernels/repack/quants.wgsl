// The buffer of codes: a block of 32 columns of a quad takes VECTORS vec4, each a word a row.

@group(0) @binding(2) var<storage, read_write> quants: array<u32>;

fn store_word(unit: u32, row: u32, vector: u32, word: u32) {
  quants[unit * VECTORS + 4u * vector + row % 4u] = word;
}
