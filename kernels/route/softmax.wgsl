// Experts count as the softmax over scores has them.

const ADDS_UP = true;  // over all experts
const LEAST = 0.0;

fn rank(row: u32, expert: u32) -> f32 {
  return scores[row + expert];
}

// Before it is divided by the sum of all that count.
fn part(row: u32, expert: u32) -> f32 {
  return exp(scores[row + expert] - scores[row + chosen[0]]);
}
