// Scores and logits that stay within SOFTCAP, if that is not 0 (Gemma 2, arXiv 2408.00118). Beyond 12,
// tanh is 1, and some drivers' is no number.

override SOFTCAP: f32 = 0.0;

fn capped(score: vec4<f32>) -> vec4<f32> {
  if (SOFTCAP > 0.0) {
    return SOFTCAP * tanh(clamp(score / SOFTCAP, vec4(-12.0), vec4(12.0)));
  }
  return score;
}
