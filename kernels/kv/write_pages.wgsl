// Where rope_append puts keys and values: in the sequence's page.

${kv_write}

fn key_write(m: u32, kv_head: u32, d: u32, v: vec2<f32>) {
  let position = position_of(m);
  let first = page_of(m, position) * 2u * position_groups() * PAGE;
  kv_write(first + key_group(kv_head, d / 8u, position), d % 8u, v);
}

fn value_write(m: u32, kv_head: u32, d: u32, v: vec2<f32>) {
  let position = position_of(m);
  let first = page_of(m, position) * 2u * position_groups() * PAGE;
  kv_write(first + value_group(kv_head, d / 8u, position), d % 8u, v);
}
