// Loading: an adapter's matrix, or floats that lie elsewhere already, to where linear/finish_lora.wgsl
// has them.
//
// Purpose   A as it stands, its rows padded; B turned round, its rows as the weight's are
// Bindings  0 staged  the matrix, as the file has it
//           1 piece   [0] the word of staged that it begins at; [1] elements of a target row, [2] target
//                     rows; [3] target rows and [4] elements of them that are not padding; elements of
//                     staged from [5] a target row to the next and [6] an element to the next; [7] the
//                     element of target that the first one goes to; [8] a factor, f32; [9] where the
//                     order of the elements begins in order, +1; 0: as they are
//           2 order   for elements of a target row, which of staged
//           3 lora    out
// Dispatch  a thread an element of target, workgroups spread over x and y

${enables}

@group(0) @binding(0) var<storage, read> staged: array<u32>;
@group(0) @binding(1) var<storage, read> piece: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> lora: array<f32>;

fn staged_word(i: u32) -> u32 {
  return staged[piece[0] + i];
}

// The 16 bits at an even byte offset of the matrix.
fn half_at(byte: u32) -> u32 {
  return (staged_word(byte / 4u) >> (8u * (byte % 4u))) & 0xffffu;
}

${source}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let i = (group.y * groups.x + group.x) * 64u + thread;
  let row = i / piece[1];
  var column = i % piece[1];
  if (row >= piece[2]) {
    return;
  }
  var value = 0.0;
  if (row < piece[3] && column < piece[4]) {
    if (piece[9] > 0u) {
      column = order[piece[9] - 1u + column];
    }
    value = element(row * piece[5] + column * piece[6]) * bitcast<f32>(piece[8]);
  }
  lora[piece[7] + i] = value;
}
