// f16 scales of groups, a tensor of their own, stored by columns.

${repack/groups}

fn store_block(source: u32, row: u32, unit: u32) {
  let g = block_of(source);
  store_group(g, row, half_at(2u * stored_at(source, g, 1u, 1u, 0u)));
}
