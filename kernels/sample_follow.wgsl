// Goes where drawn tokens lead in the automaton of grammars, and finds what may be drawn there.
//
// Purpose   the last of the kernels of a step under a grammar: the next draw has the mask of the state
//           that this one leads to, whatever the host knows of it yet. A token is read byte by byte, the
//           drawn one and all that may come next. Where a byte leads to what is not known, and that
//           matters, the step has no rows any more: all steps submitted behind it change nothing, until
//           the host has written what was not known, and the rows again. Whichever row lacks something,
//           all of them wait
// Bindings  0 step      see epilogue/rope_append.wgsl: the rows of the drawn tokens
//           1 ring      see sample_select.wgsl: a slot's next token is STALLED where its row ends the
//                       step here; those of the others tell nothing then
//           2 masks     see sample_prepare.wgsl
//           3 automaton [STATES] where a state's record begins, 0: it is not known;
//                       [TERMS] the same of terms: such a state is STATES + TERMS * frame + term;
//                       from FRAMES_AT a pair a frame: the state behind a term that is over, and where
//                       the list of its spellings is; 0: it is not known;
//                       from ENDS_AT how many tokens end a text, and which;
//                       records: flags; where its [256] bytes' kinds are, a byte each; its spelling; 4,
//                       how many kinds; what is behind a byte of each kind: a state, or of a term
//                       INSIDE and the term that is left, or INSIDE, RELATIVE and how far that is from
//                       this one, HERE for none, or OVER; 0: the byte is refused;
//                       spellings: 0 for none, STOP, or where three words are: what is behind it, as of
//                       a byte; where its tokens begin, behind which LAST is; and how many they are,
//                       with more than LONGEST the host goes on from there;
//                       lists: how many pairs; pairs: a term that leaves no choice up to its end, and
//                       its spelling
//           4 texts     where each token's bytes begin, VOCAB + 1 words; then these
//           5 place     [SLOTS] for draws with an even and an odd number: the state before it, and which
//                       token of a spelling that leads there comes next, 0 for none; then before how
//                       many draws a text does not end if it can go on; then [MISSING] states that were
//                       missing, 0 for none
// Dispatch  (ceil(VOCAB / THREADS), rows) workgroups; rows past step's do nothing
//
// With STAND no tokens were drawn: the texts go on where they stand.

${enables}

override VOCAB: u32;
override STEP_ROWS: u32;
override RING: u32;
override RING_SLOTS: u32;
override SLOTS: u32;
override STATES: u32;
override TERMS: u32;
override FRAMES_AT: u32;
override ENDS_AT: u32;
override LONGEST: u32;
override STAND: bool = false;

@group(0) @binding(0) var<storage, read_write> step: array<u32>;
@group(0) @binding(1) var<storage, read_write> ring: array<u32>;
@group(0) @binding(2) var<storage, read_write> masks: array<u32>;
@group(0) @binding(3) var<storage, read> automaton: array<u32>;
@group(0) @binding(4) var<storage, read> texts: array<u32>;
@group(0) @binding(5) var<storage, read_write> place: array<atomic<u32>>;

const THREADS = 256u;
const WORDS = THREADS / 32u;
const STALLED = 0xffffffffu;
const LAST = 0xffffffffu;
const ONLY = 0x80000000u;
const INSIDE = 0x40000000u;
const OVER = 0x80000000u;
const RELATIVE = 0x20000000u;
const HERE = 0x10000000u;
const REFUSED = 0u;
const UNKNOWN = 1u;
const STOP = 1u;
const COMPLETE = 1u;
const FALLS = 2u;
const FORCED = 4u;
const MISSING = 28u;  // states that the host is told of
const DEEPEST = 64u;  // frames that end behind one byte

var<workgroup> allowed: array<atomic<u32>, WORDS>;
var<workgroup> at: u32;       // the state
var<workgroup> spelled: u32;  // which token of a spelling comes next, 0 for none
var<workgroup> live: u32;

var<private> row: u32;   // where the row begins in step, and its slot: set first of all
var<private> slot: u32;

// Workgroups that begin behind this find no row, and do nothing: what they would do is not needed.
fn stall() {
  step[0] = 0u;
  ring[step[row + 3u] % RING * RING_SLOTS + slot] = STALLED;
}

// A state has to be known: many are told of, as threads come to them.
fn miss(state: u32) {
  atomicStore(&place[4u * SLOTS + 1u + state % MISSING], state);
  stall();
}

fn frame_of(state: u32) -> u32 {
  return FRAMES_AT + 2u * ((state - STATES) / TERMS);
}

fn term_of(state: u32) -> u32 {
  return (state - STATES) % TERMS;
}

fn record_of(state: u32) -> u32 {
  if (state < STATES) {
    return automaton[state];
  }
  return automaton[STATES + term_of(state)];
}

// The state behind a byte, REFUSED, or UNKNOWN: then .y is the state that is missing.
fn behind(begin: u32, byte: u32) -> vec2<u32> {
  var state = begin;
  for (var depth = 0u; depth < DEEPEST; depth++) {
    let record = record_of(state);
    if (record == 0u) {
      return vec2(UNKNOWN, state);
    }
    let kinds = automaton[automaton[record + 1u] + byte / 4u];
    let word = automaton[record + 4u + ((kinds >> (8u * (byte % 4u))) & 255u)];
    if (state < STATES) {
      return vec2(word, state);
    }
    if ((word & (INSIDE | RELATIVE)) == (INSIDE | RELATIVE)) {
      return vec2(state + (word & (RELATIVE - 1u)) - HERE, state);
    }
    if ((word & INSIDE) != 0u) {
      return vec2(state - term_of(state) + (word & ~INSIDE), state);
    }
    let over = (word & OVER) != 0u;
    if (!over && (automaton[record] & FALLS) == 0u) {
      return vec2(REFUSED, state);
    }
    let outside = automaton[frame_of(state)];
    if (outside == 0u) {
      return vec2(UNKNOWN, state);
    }
    if (over) {
      return vec2(outside, state);
    }
    state = outside;
  }
  return vec2(UNKNOWN, begin);
}

// The state behind a token's bytes, as ``behind`` has it.
fn behind_token(begin: u32, token: u32) -> vec2<u32> {
  var found = vec2(begin, begin);
  let end = texts[token + 1u];
  for (var i = texts[token]; i < end && found.x > UNKNOWN; i++) {
    let byte = (texts[VOCAB + 1u + i / 4u] >> (8u * (i % 4u))) & 255u;
    found = behind(found.x, byte);
  }
  // Where the last byte leads is a state with a number, known or not.
  return found;
}

// REFUSED where the text may not end in a state, or, where it is `early`, can go on; else a state; or as
// ``behind``.
fn complete(begin: u32, early: bool) -> vec2<u32> {
  var state = begin;
  for (var depth = 0u; depth < DEEPEST; depth++) {
    let record = record_of(state);
    if (record == 0u) {
      return vec2(UNKNOWN, state);
    }
    if (early && automaton[record + 3u] > 1u) {  // one of the kinds is that of refused bytes
      return vec2(REFUSED, state);
    }
    if (state < STATES) {
      return vec2(select(REFUSED, state, (automaton[record] & COMPLETE) != 0u), state);
    }
    if ((automaton[record] & FALLS) == 0u) {
      return vec2(REFUSED, state);
    }
    let outside = automaton[frame_of(state)];
    if (outside == 0u) {
      return vec2(UNKNOWN, state);
    }
    state = outside;
  }
  return vec2(UNKNOWN, begin);
}

fn ends(token: u32) -> bool {
  for (var i = 0u; i < automaton[ENDS_AT]; i++) {
    if (automaton[ENDS_AT + 1u + i] == token) {
      return true;
    }
  }
  return false;
}

// A token ends in a state, where a spelling may begin.
fn arrive(state: u32) {
  at = state;
  spelled = 0u;
  let record = record_of(state);
  if (record == 0u) {
    miss(state);
    live = 0u;
    return;
  }
  var spelling = automaton[record + 2u];
  if (state >= STATES && (automaton[record] & FORCED) != 0u) {
    let list = automaton[frame_of(state) + 1u];
    let count = select(0u, automaton[list], list != 0u);
    var i = 0u;
    while (i < count && automaton[list + 1u + 2u * i] != term_of(state)) {
      i++;
    }
    if (i == count) {
      miss(state);
      live = 0u;
      return;
    }
    spelling = automaton[list + 2u + 2u * i];
  }
  if (spelling == STOP || (spelling != 0u && automaton[spelling + 2u] > LONGEST)) {
    stall();
    live = 0u;
  } else if (spelling != 0u) {
    let word = automaton[spelling];
    at = word;
    if ((word & INSIDE) != 0u) {
      at = state - term_of(state) + (word & ~INSIDE);
    }
    spelled = automaton[spelling + 1u];
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32,
        @builtin(workgroup_id) group: vec3<u32>) {
  row = STEP_ROWS + 4u * group.y;
  slot = step[row + 2u];
  let drawn = step[row + 3u];
  let now = 4u * slot + 2u * (drawn & 1u);
  if (thread < WORDS) {
    atomicStore(&allowed[thread], 0u);
  }
  if (thread == 0u) {
    live = select(0u, 1u, group.y < step[0]);
    if (live != 0u) {
      let before = select(now ^ 2u, now, STAND);
      let state = atomicLoad(&place[before]);
      let spelling = atomicLoad(&place[before + 1u]);
      if (spelling != 0u) {
        at = state;
        spelled = spelling + select(1u, 0u, STAND);
        if (automaton[spelled] == LAST) {
          arrive(state);
        }
      } else if (STAND) {
        arrive(state);
      } else {
        let token = step[row];
        let found = behind_token(state, token);
        if (found.x <= UNKNOWN || texts[token] == texts[token + 1u]) {  // or it ends the text
          stall();
          live = 0u;
        } else {
          arrive(found.x);
        }
      }
    }
  }
  workgroupBarrier();
  let token = group.x * THREADS + thread;
  if (live != 0u && spelled == 0u && token < VOCAB) {
    var found = vec2(REFUSED, at);
    if (texts[token] != texts[token + 1u]) {
      found = behind_token(at, token);
    } else if (ends(token)) {
      found = complete(at, drawn < atomicLoad(&place[4u * SLOTS]));
    }
    if (found.x == UNKNOWN) {
      miss(found.y);
    } else if (found.x != REFUSED) {
      atomicOr(&allowed[thread / 32u], 1u << (thread % 32u));
    }
  }
  workgroupBarrier();
  if (live != 0u) {
    let word = group.x * WORDS + thread;
    let mask = SLOTS + (VOCAB + 31u) / 32u * slot;
    if (spelled == 0u && thread < WORDS && 32u * word < VOCAB) {
      masks[mask + word] = atomicLoad(&allowed[thread]);
    }
    if (thread == 0u && group.x == 0u) {
      atomicStore(&place[now], at);
      atomicStore(&place[now + 1u], spelled);
      masks[slot] = mask;
      if (spelled != 0u) {
        masks[slot] = ONLY | automaton[spelled];
      }
    }
  }
}
