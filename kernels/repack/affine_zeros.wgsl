// Zeros of groups, a tensor of their own, stored by columns: BITS each, those of neighbouring rows in a
// word, in the order of place_of. GPTQ's are stored less 1, 0 as all ones.

override BITS: u32;
override PLUS: u32;

${repack/groups}
${places}

fn store_block(source: u32, row: u32, unit: u32) {
  let g = block_of(source);
  let a_word = 32u / BITS;
  let at = stored_at(source, g, 1u, 1u, 0u);
  let zero = (staged_word(at / a_word) >> (BITS * place_of(at % a_word))) + PLUS;
  store_group(g, row, pack2x16float(vec2(0.0, f32(zero & ((1u << BITS) - 1u)))));
}
