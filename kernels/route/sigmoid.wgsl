// Experts count as the sigmoid of their score says; which are the best is told with a bias added (BIASED),
// which keeps all of them in use (arXiv 2408.15664).
//
// Bindings  2 bias  [EXPERTS], f32

override BIASED: bool;

@group(0) @binding(2) var<storage, read> bias: array<f32>;

const ADDS_UP = false;
const LEAST = 1e-6;  // of the sum that they are divided by

fn rank(row: u32, expert: u32) -> f32 {
  var found = part(row, expert);
  if (BIASED) {
    found += bias[expert];
  }
  return found;
}

fn part(row: u32, expert: u32) -> f32 {
  return 1.0 / (1.0 + exp(-scores[row + expert]));
}
