// GELU (arXiv 1606.08415). WGSL has no erf: Abramowitz and Stegun, 7.1.26, off by 1.5e-7 at most.
fn activated(v: f32) -> f32 {
  let x = abs(v) * 0.7071067812;
  let t = 1.0 / (1.0 + 0.3275911 * x);
  let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let erf = 1.0 - series * exp(-x * x);
  return 0.5 * v * (1.0 + sign(v) * erf);
}
