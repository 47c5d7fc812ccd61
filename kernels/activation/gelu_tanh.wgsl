// GELU by tanh (arXiv 1606.08415): "gelu_pytorch_tanh" and "gelu_new" of config.json. The argument is
// cut off where tanh is 1 already: some drivers' tanh is no number for large ones.
fn activated(v: f32) -> f32 {
  let inner = 0.7978845608 * (v + 0.044715 * v * v * v);
  return 0.5 * v * (1.0 + tanh(clamp(inner, -12.0, 12.0)));
}
