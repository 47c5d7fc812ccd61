// "quick_gelu" of config.json, CLIP's: v * sigmoid(1.702 * v).
fn activated(v: f32) -> f32 {
  return v / (1.0 + exp(-1.702 * v));
}
