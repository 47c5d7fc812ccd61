// From logits to what the sampler draws from: penalties, bias, temperature; and where the maximum is.
//
// Purpose   the first of a step's two sampling kernels; all of the GPU works on it
// Bindings  0 logits   f32, [rows][VOCAB]; with SHARED one row for all
//           1 settings see sample/settings.wgsl
//           2 counts   [slots][VOCAB]: how often a token was generated, top bit: it is in the prompt
//           3 bias     [slots][VOCAB], f32, added last
//           4 scaled   f32 out, [rows][VOCAB], rows padded to whole vec4
//           5 winners  out, [rows] a pair a workgroup: the greatest scaled value and its token (lowest
//                      of equals)
//           6 step     see epilogue/rope_append.wgsl
//           7 masks    [SLOTS] where the mask of a slot's draws begins, or ONLY and the only token; then
//                      masks, [ceil(VOCAB / 32)] each: bit token % 32 of a word: it may be drawn
// Dispatch  (ceil(VOCAB / (THREADS * ITEMS)), rows) workgroups; rows past step's do nothing
//
// With VERIFY the rows are one sequence: what is drawn from a row counts as generated the tokens of
// the rows up to it, guesses but for the first row's, which is counted already.

${enables}

override VOCAB: u32;
override ITEMS: u32;     // tokens a thread
override THREADS: u32;   // a power of two
override STEP_ROWS: u32;
override SHARED: bool = false;
override VERIFY: bool = false;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> scaled: array<f32>;
@group(0) @binding(5) var<storage, read_write> winners: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read> step: array<u32>;
@group(0) @binding(7) var<storage, read> masks: array<u32>;

${settings}
${best}
${gumbel}

// Repetition penalty: CTRL (arXiv 1909.05858); frequency and presence: OpenAI's API reference.
fn penalised(logit: f32, count: u32) -> f32 {
  if (count == 0u) {
    return logit;
  }
  let generated = count & 0x7fffffffu;
  let repetition = number(6u);
  return select(logit * repetition, logit / repetition, logit > 0.0)
       - number(7u) * f32(generated) - number(8u) * f32(min(generated, 1u));
}

const ONLY = 0x80000000u;

fn refused(mask: u32, token: u32) -> bool {
  if ((mask & ONLY) != 0u) {
    return token != (mask & ~ONLY);
  }
  return ((masks[mask + token / 32u] >> (token % 32u)) & 1u) == 0u;
}

fn guessed(m: u32, token: u32) -> u32 {
  var times = 0u;
  for (var other = 1u; other <= m; other++) {
    times += select(0u, 1u, step[STEP_ROWS + 4u * other] == token);
  }
  return times;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let m = group.y;
  if (m >= step[0]) {
    return;  // rows past the last one
  }
  let row = STEP_ROWS + 4u * m;
  slot = step[row + 2u];
  let logits_row = select(m, 0u, SHARED) * VOCAB;
  let scaled_row = m * ((VOCAB + 3u) / 4u * 4u);
  let flags = setting(9u);
  let temperature = number(0u);
  let factor = select(1.0, 1.0 / temperature, temperature > 0.0);
  let position = step[row + 1u] + 1u;
  let drawn = select(step[row + 3u], step[STEP_ROWS + 3u] + m, VERIFY);
  let masked = (flags & 8u) != 0u && drawn < setting(10u);
  let mask = masks[slot];
  var best = Best(-3.4e38, VOCAB);
  for (var i = 0u; i < ITEMS; i++) {
    let token = (group.x * ITEMS + i) * THREADS + thread;
    if (token < VOCAB) {
      var value = logits[logits_row + token];
      if ((flags & 1u) != 0u) {
        var count = counts[of_slot(token)];
        if (VERIFY) {
          count += guessed(m, token);
        }
        value = penalised(value, count);
      }
      if ((flags & 2u) != 0u) {
        value += bias[of_slot(token)];
      }
      value *= factor;
      if (masked && refused(mask, token)) {
        value = -3.4e38;
      }
      scaled[scaled_row + token] = value;
      if ((flags & 4u) != 0u) {
        value += gumbel(token, position);
      }
      best = better(best, Best(value, token));
    }
  }
  best = best_of_workgroup(best, thread);
  if (thread == 0u) {
    winners[m * groups.x + group.x] = vec2(bitcast<u32>(best.value), best.token);
  }
}
