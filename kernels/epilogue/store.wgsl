// Epilogue: y[m][n] = v; of logits LOGIT_SCALE * v, within a softcap. Needs Y_STRIDE, the row length of
// y.

override Y_STRIDE: u32;
override LOGIT_SCALE: f32 = 1.0;

@group(0) @binding(4) var<storage, read_write> y: array<f32>;

${attention/softcap}

fn emit(m: u32, n: u32, value: vec2<f32>) {
  let v = capped(LOGIT_SCALE * value.xyxy);
  y[m * Y_STRIDE + n] = v.x;
  if (n + 1u < N) {
    y[m * Y_STRIDE + n + 1u] = v.y;
  }
}
