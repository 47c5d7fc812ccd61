// Which key head a value head has: TILED, head h has h % K_HEADS, else its group's.

override TILED: bool;

fn key_head(head: u32) -> u32 {
  if (TILED) {
    return head % K_HEADS;
  }
  return head / (V_HEADS / K_HEADS);
}
