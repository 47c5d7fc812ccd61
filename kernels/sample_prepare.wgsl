// From logits to what the sampler draws from: penalties, bias, temperature; and where the maximum is.
//
// Purpose   the first of a step's two sampling kernels; all of the GPU works on it
// Bindings  0 logits   f32, VOCAB of them
//           1 settings see below
//           2 counts   per token: how often it was generated, top bit: it is in the prompt
//           3 bias     f32 per token, added last
//           4 scaled   f32 out
//           5 winners  out, a pair a workgroup: the greatest scaled value and its token (lowest of equals)
//           6 step     see epilogue/rope_append.wgsl
// Dispatch  ceil(VOCAB / (THREADS * ITEMS)) workgroups
//
// settings, 32-bit words: 0 temperature (0: greedy), 1 top_k (0: off), 2 top_p, 3 min_p, 4-5 seed,
// 6 repetition, 7 frequency, 8 presence penalty, 9 flags (1: penalties, 2: bias, 4: nothing is cut
// off, so the draw itself happens here: winners are of scaled values plus noise).

${enables}

override VOCAB: u32;
override ITEMS: u32;     // tokens a thread
override THREADS: u32;   // a power of two
override STEP_ROWS: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<u32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> scaled: array<f32>;
@group(0) @binding(5) var<storage, read_write> winners: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read> step: array<u32>;

${best}
${gumbel}

fn setting(i: u32) -> f32 {
  return bitcast<f32>(settings[i]);
}

// Repetition penalty: CTRL (arXiv 1909.05858); frequency and presence: OpenAI's API reference.
fn penalised(logit: f32, count: u32) -> f32 {
  if (count == 0u) {
    return logit;
  }
  let generated = count & 0x7fffffffu;
  let repetition = setting(6u);
  return select(logit * repetition, logit / repetition, logit > 0.0)
       - setting(7u) * f32(generated) - setting(8u) * f32(min(generated, 1u));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let flags = settings[9];
  let temperature = setting(0u);
  let factor = select(1.0, 1.0 / temperature, temperature > 0.0);
  let position = step[STEP_ROWS + 4u * (step[0] - 1u) + 1u] + 1u;
  var best = Best(-3.4e38, VOCAB);
  for (var i = 0u; i < ITEMS; i++) {
    let token = (group.x * ITEMS + i) * THREADS + thread;
    if (token < VOCAB) {
      var value = logits[token];
      if ((flags & 1u) != 0u) {
        value = penalised(value, counts[token]);
      }
      if ((flags & 2u) != 0u) {
        value += bias[token];
      }
      value *= factor;
      scaled[token] = value;
      if ((flags & 4u) != 0u) {
        value += gumbel(token, position);
      }
      best = better(best, Best(value, token));
    }
  }
  best = best_of_workgroup(best, thread);
  if (thread == 0u) {
    winners[group.x] = vec2(bitcast<u32>(best.value), best.token);
  }
}
