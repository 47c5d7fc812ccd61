// Reads a buffer once: how fast memory can be streamed.
//
// Purpose   the bandwidth that bench compares kernels with; its result is not looked at
// Bindings  0 data, 1 result: one word
// Dispatch  one workgroup for each THREADS * READS vectors of data, which are whole, over (x, y)
// Assumes   data is all zeros, so that nothing is written; the compiler cannot know

${enables}

override THREADS: u32;
override READS: u32;    // vectors of 16 bytes that a thread reads, THREADS apart; a multiple of 4
override ACROSS: u32;   // workgroups along x

@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let start = (group.y * ACROSS + group.x) * THREADS * READS + thread;
  var seen = vec4<u32>();
  for (var i = 0u; i < READS; i += 4u) {
    // Four loads at a time, so that several are on their way.
    seen |= data[start + i * THREADS] | data[start + (i + 1u) * THREADS]
      | data[start + (i + 2u) * THREADS] | data[start + (i + 3u) * THREADS];
  }
  if (any(seen != vec4<u32>())) {
    result[0] = seen.x;
  }
}
