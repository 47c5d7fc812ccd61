// Turns the keys of a sequence's pages back by some positions, as rotary embedding has them
// (arXiv 2104.09864): those that stood behind pages that the sequence has dropped.
//
// Purpose   conversations that go on past their window keep positions within it (arXiv 2309.17453)
// Bindings  0 step  words 2 and 3: the sequence's slot, and how many pages it has now
//           1 turn  (cos, sin) of as many positions, ROTARY / 2 pairs
//           2 kv    the layer's pages
// Dispatch  (ceil(PAGE * KV_HEADS * ROTARY / 2 / 64), MAX_PAGES - FIRST) workgroups
// Assumes   no other sequence has these pages
//
// FIRST: pages that stay where they are. WIDE: whether elements are float32, not float16.

${enables}

override ROTARY: u32;
override FIRST: u32;
override WIDE: bool;

@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> turn: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> kv: array<u32>;

${pages}

fn turned(v: vec2<f32>, pair: u32) -> vec2<f32> {
  let by = turn[pair];
  return vec2(v.x * by.x + v.y * by.y, v.y * by.x - v.x * by.y);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let page = FIRST + id.y;
  let pair = id.x / PAGE % (ROTARY / 2u);
  let head = id.x / PAGE / (ROTARY / 2u);
  if (page >= step[3] || head >= KV_HEADS) {
    return;
  }
  let physical = step[STEP_PAGES + step[2] * MAX_PAGES + page];
  let group = physical * 2u * position_groups() * PAGE + key_group(head, pair / 4u, id.x % PAGE);
  if (WIDE) {
    let at = group * 8u + pair % 4u * 2u;
    let v = turned(bitcast<vec2<f32>>(vec2(kv[at], kv[at + 1u])), pair);
    kv[at] = bitcast<u32>(v.x);
    kv[at + 1u] = bitcast<u32>(v.y);
  } else {
    let at = group * 4u + pair % 4u;
    let v = turned(unpack2x16float(kv[at]), pair);
    kv[at] = pack2x16float(clamp(v, vec2(-65504.0), vec2(65504.0)));
  }
}
