// Copies a page of a layer's KV cache to another one.
//
// Purpose   answers to one prompt share its pages but for the last, which each of them goes on to fill
// Bindings  0 step  words 2 and 3: the page, and where it goes
//           1 kv    the layer's pages
// Dispatch  ceil(UNITS / 64) workgroups

${enables}

override UNITS: u32;   // 16 bytes each, of a page

@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read_write> kv: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < UNITS) {
    kv[step[3] * UNITS + id.x] = kv[step[2] * UNITS + id.x];
  }
}
