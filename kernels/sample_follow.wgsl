// Goes where the drawn token leads in the automaton of a grammar, as far as that is known.
//
// Purpose   the last of the kernels of a step under a grammar: the next draw has the mask of the state
//           that this one leads to, whatever the host knows of it yet. Where the state behind is not
//           known, the step has no rows any more: all steps submitted behind it change nothing, until
//           the host writes what was not known, and the row again
// Bindings  0 step      see epilogue/rope_append.wgsl: the row of the drawn token
//           1 ring      see sample_select.wgsl: the next token is STALLED where the state behind this
//                       one is not known
//           2 masks     see sample_prepare.wgsl: its first words
//           3 automaton [SLOTS] the state of each;
//                       [STATES] where a state's record begins, 0: it is not known, as state 0;
//                       from FRAMES_AT a pair a frame: its kind, and where the list of its ways out is;
//                       from PLACES_AT [kinds][TERMS] where the record of a state in quotes begins: the
//                       number of such a state is STATES + TERMS * frame + term;
//                       records: its mask, as masks tells it; how many classes; how many pairs; what is
//                       behind each class; pairs: a token, what is behind it: a state, or INSIDE and
//                       the term in the same frame, or ENDS and a way out of the frame;
//                       lists: how many pairs; pairs: a way out, the state behind it
//           4 classes   the class of each token, a byte each: tokens that lead to one state, where the
//                       state before tells nothing else of them
// Dispatch  one workgroup
// Assumes   one row; its state is known

${enables}

override STEP_ROWS: u32;
override RING: u32;
override RING_SLOTS: u32;
override SLOTS: u32;
override STATES: u32;
override TERMS: u32;
override FRAMES_AT: u32;
override PLACES_AT: u32;

@group(0) @binding(0) var<storage, read_write> step: array<u32>;
@group(0) @binding(1) var<storage, read_write> ring: array<u32>;
@group(0) @binding(2) var<storage, read_write> masks: array<u32>;
@group(0) @binding(3) var<storage, read_write> automaton: array<u32>;
@group(0) @binding(4) var<storage, read> classes: array<u32>;

const STALLED = 0xffffffffu;
const INSIDE = 0x40000000u;
const ENDS = 0x80000000u;
const THREADS = 64u;

var<workgroup> behind: atomic<u32>;

fn frame_of(state: u32) -> u32 {
  return FRAMES_AT + 2u * ((state - STATES) / TERMS);
}

// Where a state's record begins, 0 where it is not known.
fn record_of(state: u32) -> u32 {
  if (state < STATES) {
    return automaton[SLOTS + state];
  }
  let frame = frame_of(state);
  if (automaton[frame + 1u] == 0u) {
    return 0u;
  }
  return automaton[PLACES_AT + TERMS * automaton[frame] + (state - STATES) % TERMS];
}

// The state that is meant by what is behind a token, 0 where it is not known.
fn meant(state: u32, word: u32) -> u32 {
  if ((word & INSIDE) != 0u) {
    return state - (state - STATES) % TERMS + (word & ~INSIDE);
  }
  if ((word & ENDS) == 0u) {
    return word;
  }
  let list = automaton[frame_of(state) + 1u];
  for (var i = 0u; i < automaton[list]; i++) {
    if (automaton[list + 1u + 2u * i] == (word & ~ENDS)) {
      return automaton[list + 2u + 2u * i];
    }
  }
  return 0u;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let stalled = step[0] == 0u;
  let token = step[STEP_ROWS];
  let slot = step[STEP_ROWS + 2u];
  let state = automaton[slot];
  let record = record_of(state);
  let n_classes = automaton[record + 1u];
  let n_pairs = automaton[record + 2u];
  if (thread == 0u) {
    let own = (classes[token / 4u] >> (8u * (token % 4u))) & 255u;
    var of_class = 0u;
    if (own < n_classes) {
      of_class = automaton[record + 3u + own];
    }
    atomicStore(&behind, of_class);  // not every driver clears it before
  }
  workgroupBarrier();
  for (var i = thread; i < n_pairs; i += THREADS) {
    let pair = record + 3u + n_classes + 2u * i;
    if (automaton[pair] == token) {
      atomicStore(&behind, automaton[pair + 1u]);
    }
  }
  workgroupBarrier();
  if (thread == 0u && !stalled) {
    let next = meant(state, atomicLoad(&behind));
    let found = record_of(next);
    if (found == 0u) {
      step[0] = 0u;
      ring[step[STEP_ROWS + 3u] % RING * RING_SLOTS + slot] = STALLED;
    } else {
      automaton[slot] = next;
      masks[slot] = automaton[found];
    }
  }
}
