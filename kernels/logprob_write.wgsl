// The log-probability of each row's token, and of the TOP most likely ones, among all tokens.
//
// Purpose   the second of two kernels that find log-probabilities: log softmax of the model's logits,
//           before penalties, temperature and cuts; a single workgroup for each row
// Bindings  0 logits  as in logprob_parts.wgsl
//           1 step    after the draw: each row's token is the one that was drawn
//           2 parts   from logprob_parts.wgsl (PARTS a row)
//           3 ring    out, [RING][SLOTS][1 + 2 TOP]: the token's log-probability, then tokens by their
//                     logits, each with its log-probability; VOCAB where there are fewer. A row's place
//                     is that of its token in sample_select.wgsl's ring
// Dispatch  (rows) workgroups; rows past step's do nothing

${enables}

override VOCAB: u32;
override TOP: u32;
override PARTS: u32;
override RING: u32;
override SLOTS: u32;
override THREADS: u32;   // a power of two
override STEP_ROWS: u32;
override SHARED: bool = false;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> parts: array<u32>;
@group(0) @binding(3) var<storage, read_write> ring: array<u32>;

${sample/best}

const WORDS = 2u;  // of a pair

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let m = group.x;
  if (m >= step[0]) {
    return;  // rows past the last one
  }
  let row = STEP_ROWS + 4u * m;
  let part_words = 2u + WORDS * TOP;
  let first = m * PARTS * part_words;
  let place = ((step[row + 3u] - 1u) % RING * SLOTS + step[row + 2u]) * (1u + WORDS * TOP);
  var last = Best(3.4e38, 0u);
  var whole = 0.0;  // log of the sum of all exponentials
  for (var round = 0u; round < TOP; round++) {
    var best = Best(-3.4e38, VOCAB);
    for (var i = thread; i < PARTS * TOP; i += THREADS) {
      let pair = first + i / TOP * part_words + 2u + WORDS * (i % TOP);
      let value = bitcast<f32>(parts[pair]);
      let token = parts[pair + 1u];
      if (value < last.value || (value == last.value && token > last.token)) {
        best = better(best, Best(value, token));
      }
    }
    last = best_of_workgroup(best, thread);
    if (thread == 0u) {
      if (round == 0u) {
        var sum = 0.0;
        for (var i = 0u; i < PARTS; i++) {
          let part = first + i * part_words;
          sum += bitcast<f32>(parts[part + 1u]) * exp(bitcast<f32>(parts[part]) - last.value);
        }
        whole = last.value + log(sum);
        let drawn = logits[select(m, 0u, SHARED) * VOCAB + step[row]];
        ring[place] = bitcast<u32>(drawn - whole);
      }
      ring[place + 1u + WORDS * round] = last.token;
      ring[place + 2u + WORDS * round] = bitcast<u32>(last.value - whole);
    }
  }
}
