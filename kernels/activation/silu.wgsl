// SiLU, or Swish (arXiv 1710.05941): v * sigmoid(v).
fn activated(v: f32) -> f32 {
  return v / (1.0 + exp(-v));
}
