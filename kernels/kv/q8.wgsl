// The scales of 8-bit pages. A position's keys, all heads together, are cut into blocks of 32 elements,
// the last one shorter if it must be; so are its values. An element is a whole number of 127ths of
// the greatest in its block. After a page's groups come [block][position] words: the greatest of the
// keys and of the values of that block, float16.

// Where a page begins, in words.
fn q8_page(page: u32) -> u32 {
  return page * (4u * position_groups() + (position_groups() + 3u) / 4u) * PAGE;
}

// Where the scales of a position's group are, counted over all heads.
fn q8_scales(page: u32, group: u32, position: u32) -> u32 {
  return q8_page(page) + (4u * position_groups() + group / 4u) * PAGE + position % PAGE;
}
