// Takes over the guesses that were right, and the token drawn after the last of them.
//
// Purpose   speculative decoding (arXiv 2211.17192; guesses from the text itself): the rows of a step
//           are the sequence's newest token and guesses of what follows it. A draw does not depend on
//           guesses behind it, so taking draws for as long as the guess was the draw gives just the
//           tokens that single steps would have given. Guesses may have been made before the step
//           before was done: if it left another position than they follow, none of them counts.
// Bindings  0 step      becomes one row, as after sample_select.wgsl
//           1 drawn     [rows], by sample_select.wgsl with VERIFY
//           2 counts    see sample_prepare.wgsl
//           3 accepted  out: how many tokens, then the tokens
// Dispatch  one workgroup
// Assumes   every row is of the slot 0

${enables}

override STEP_ROWS: u32;

@group(0) @binding(0) var<storage, read_write> step: array<u32>;
@group(0) @binding(1) var<storage, read> drawn: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> accepted: array<u32>;

@compute @workgroup_size(1)
fn main() {
  let rows = step[0];
  var n = 1u;
  let follows = rows > 1u && step[STEP_ROWS + 5u] == step[STEP_ROWS + 1u] + 1u;
  while (follows && n < rows && drawn[n - 1u] == step[STEP_ROWS + 4u * n]) {
    n += 1u;
  }
  accepted[0] = n;
  for (var i = 0u; i < n; i++) {
    accepted[1u + i] = drawn[i];
    counts[drawn[i]] += 1u;
  }
  step[0] = 1u;
  step[STEP_ROWS] = drawn[n - 1u];
  step[STEP_ROWS + 1u] += n;
  step[STEP_ROWS + 3u] += n;
}
