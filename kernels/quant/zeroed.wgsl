// The end of a reader whose weights are scale * (code - zero), f16 both, one pair for each GROUP_UNITS
// units of a row; zero is a whole number. It has fields_of(unit): a code as the float
// ORIGIN + code / STEPS. Scales: quad by quad, group by group, a word (scale, zero) a row; rows are
// whole groups.

@group(0) @binding(2) var<storage, read> scales: array<vec4<u32>>;

${quant/row_unit}

struct Scales {
  scale: vec4<f32>,    // STEPS times the file's
  zero: vec4<f32>,     // as fields are
}

fn scales_of(unit: u32) -> Scales {
  let packed = scales[unit / GROUP_UNITS];
  let a = unpack2x16float(packed.x);
  let b = unpack2x16float(packed.y);
  let c = unpack2x16float(packed.z);
  let d = unpack2x16float(packed.w);
  return Scales(STEPS * vec4(a.x, b.x, c.x, d.x), ORIGIN + vec4(a.y, b.y, c.y, d.y) / STEPS);
}

fn unit_columns(unit: u32) -> array<vec4<f32>, 8> {
  let f = fields_of(unit);
  let s = scales_of(unit);
  return array((f[0] - s.zero) * s.scale, (f[1] - s.zero) * s.scale,
               (f[2] - s.zero) * s.scale, (f[3] - s.zero) * s.scale,
               (f[4] - s.zero) * s.scale, (f[5] - s.zero) * s.scale,
               (f[6] - s.zero) * s.scale, (f[7] - s.zero) * s.scale);
}

// The zero is taken once, off the sum of x.
fn dot_unit(unit: u32, x0: vec4<f32>, x1: vec4<f32>) -> vec4<f32> {
  let f = fields_of(unit);
  let s = scales_of(unit);
  let sum = x0.x * f[0] + x0.y * f[1] + x0.z * f[2] + x0.w * f[3]
          + x1.x * f[4] + x1.y * f[5] + x1.z * f[6] + x1.w * f[7];
  return (sum - s.zero * dot(x0 + x1, vec4(1.0))) * s.scale;
}
