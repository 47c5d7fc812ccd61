// The gates of a delta net's heads, of rows x (see delta/states.wgsl).
// gates: A of each value head, or with LOG_DECAY log(-A); then what is added to the gate of the decay.

override LOG_DECAY: bool;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gates: array<f32>;

fn gate(m: u32, which: u32, head: u32) -> f32 {
  return x[m * x_stride() + channels() + V_HEADS * V_DIM + which * V_HEADS + head];
}

// The logarithm of how much of a head's state is left at row m.
fn log_decay(m: u32, head: u32) -> f32 {
  let a = gate(m, 0u, head) + gates[V_HEADS + head];
  // log(1 + exp(a)), which is a where exp(a) would be too large.
  let softplus = max(a, 0.0) + log(1.0 + exp(-abs(a)));
  if (LOG_DECAY) {
    return -exp(gates[head]) * softplus;
  }
  return gates[head] * softplus;
}

// How far the state is changed.
fn step_size(m: u32, head: u32) -> f32 {
  return 1.0 / (1.0 + exp(-gate(m, 1u, head)));
}
