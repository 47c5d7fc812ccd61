// Takes the keys and values of a step's rows to their pages, in 8 bits (kv/q8.wgsl).
//
// Bindings  0 rows  [rows][key, value][KV_HEADS * HEAD_DIM], f32
//           1 step  see epilogue/rope_append.wgsl
//           2 kv    the layer's pages
// Dispatch  (ceil(KV_HEADS * HEAD_DIM / 256), rows) workgroups
//
// A workgroup does 8 blocks of keys and of values: 4 threads each, 8 elements a thread.

${enables}

@group(0) @binding(0) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> kv: array<u32>;

${pages}
${q8}

var<workgroup> greatest: array<f32, 64>;

fn greatest_of(first: u32) -> f32 {
  return max(max(greatest[first], greatest[first + 1u]),
             max(greatest[first + 2u], greatest[first + 3u]));
}

// What is left of a number that is kept as float16.
fn as_half(value: f32) -> f32 {
  return unpack2x16float(pack2x16float(vec2(value, 0.0))).x;
}

fn bytes_of(v: vec4<f32>) -> u32 {
  let codes = vec4<u32>(clamp(round(v), vec4(-127.0), vec4(127.0)) + 128.0);
  return codes.x | (codes.y << 8u) | (codes.z << 16u) | (codes.w << 24u);
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) place: vec3<u32>) {
  let m = place.y;
  if (m >= step[0]) {
    return;  // rows past the chunk's end belong to nobody's page
  }
  let is_value = thread / 4u % 2u;
  let block = place.x * 8u + thread / 8u;
  let group = block * 4u + thread % 4u;  // counted over all heads
  let inside = group < position_groups();
  var low = vec4<f32>();
  var high = vec4<f32>();
  if (inside) {
    let at = ((2u * m + is_value) * position_groups() + group) * 2u;
    // The scale is a float16.
    low = clamp(rows[at], vec4(-65504.0), vec4(65504.0));
    high = clamp(rows[at + 1u], vec4(-65504.0), vec4(65504.0));
  }
  let most = max(abs(low), abs(high));
  greatest[thread] = max(max(most.x, most.y), max(most.z, most.w));
  workgroupBarrier();
  if (!inside) {
    return;
  }
  let position = position_of(m);
  let page = page_of(m, position);
  let first = thread - thread % 8u;
  let scale = as_half(greatest_of(first + 4u * is_value));
  let steps = select(0.0, 127.0 / scale, scale > 0.0);
  let kv_head = group / (HEAD_DIM / 8u);
  let part = group % (HEAD_DIM / 8u);
  var at = q8_page(page);
  if (is_value == 0u) {
    at += 2u * key_group(kv_head, part, position);
  } else {
    at += 2u * value_group(kv_head, part, position);
  }
  kv[at] = bytes_of(low * steps);
  kv[at + 1u] = bytes_of(high * steps);
  if (thread % 8u == 0u) {
    let scales = vec2(greatest_of(first), greatest_of(first + 4u));
    kv[q8_scales(page, group, position)] = pack2x16float(scales);
  }
}
