// A unit as it is stored, with what scales it: see dot4/q4_0.wgsl.

${dot4/units}

struct Stored {
  codes: Codes,
  scales: StoredScales,
  unit: u32,
}

fn load_unit(unit: u32) -> Stored {
  return Stored(load_codes(unit), load_scales(unit), unit);
}
