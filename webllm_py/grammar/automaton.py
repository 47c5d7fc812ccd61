"""A grammar as the words that a GPU reads tokens through, byte by byte.

Whatever a vocabulary has, a token is allowed where each of its bytes is, and leads where its last
one does. So a GPU that knows the automaton over bytes finds masks, and the states behind tokens, by
itself. Nobody could write all states down: they are told of as texts come near them.

A state is most often one term that is being read in a frame of the stack, see pushdown.py. What is
known of the term holds in all frames; a frame only adds what comes when the term is over. Others,
with several terms at once, have numbers and records of their own.

Text that leaves no choice is spelled as a tokenizer would: behind a token that ends before it, the
only ones are the spelling's.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

from webllm_py.grammar.described_terms import Spelled, Spellings, Terms
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.overlaps import read_when_over
from webllm_py.grammar.pushdown import Frame, State
from webllm_py.grammar.records import COMPLETE, MOST_ENDS, STOP, UNKNOWN, Records, Sizes
from webllm_py.grammar.term import Regular, lowest, refine

__all__ = ["Automaton", "Sizes", "Spelled"]


class Automaton:
    """Numbers of states, as they are asked for, and what is known of them.

    Args:
        masks: of the vocabulary.
        spelled: tells of text that leaves no choice.
    """

    def __init__(self, masks: TokenMasks, spelled: Spelled, sizes: Sizes | None = None):
        self.tokens: Sequence[bytes] = masks.tokens
        self.ends: Sequence[int] = masks.ends[:MOST_ENDS]
        self.sizes = sizes or Sizes()
        self._spelled = spelled
        self.clear()

    def clear(self) -> None:
        """Forget all states and numbers."""
        self._records = Records(self.sizes, self.ends)
        self._spellings = Spellings(self.tokens, self._spelled)
        self._terms = Terms(self._records, self._spellings)
        self._numbers: dict[State, int] = {}
        self._states: list[State | None] = [None, None]  # 0 is none, 1 is never known
        self._frames: dict[Frame, int] = {}
        self._exits: list[tuple[Frame, State]] = []
        self._spellings_in: list[dict[int, int]] = []  # of each frame, by term
        self._following: dict[int, Sequence[int]] = {}
        self._looked_behind: dict[int, int] = {}  # how deep, by the state

    @property
    def words(self) -> array[int]:
        """All that is known, as kernels/sample_follow.wgsl reads it."""
        return self._records.words

    @property
    def full(self) -> bool:
        """Whether there was no room for something. From then on nothing is added."""
        return self._records.full

    @property
    def filled(self) -> float:
        """Which share of the room is taken."""
        sizes = self.sizes
        return max(
            self._records.filled,
            len(self._states) / sizes.states,
            len(self._frames) / sizes.frames,
            self._terms.count / sizes.terms,
        )

    def changes(self) -> Iterator[tuple[int, array[int]]]:
        """What changed since it was asked before: where, and the words there."""
        return self._records.changes()

    def all_changed(self) -> None:
        """Whoever asks for changes has nothing yet."""
        self._records.touch_all()

    def number(self, state: State) -> int:
        """A state's number; ``UNKNOWN`` where there is no room for another."""
        found = self._numbers.get(state, 0)
        if not found:
            found = self._inside(state) or self._outside(state)
            if found != UNKNOWN:
                self._numbers[state] = found
        return found

    def _outside(self, state: State) -> int:
        if len(self._states) == self.sizes.states:
            self._records.full = True
            return UNKNOWN
        self._states.append(state)
        return len(self._states) - 1

    def _inside(self, state: State) -> int:
        """The number of a state that is one term in a frame; 0 where it is not."""
        found = only_term(state)
        if found is None:
            return 0
        term, frame = found
        number = self._frame(frame, state)
        if number is None:
            return 0
        if read_when_over(term) & self._exits[number][1].first():
            return 0  # bytes that may go on with the term, or come behind it
        of_term = self._terms.number(term)
        return self.sizes.states + self.sizes.terms * number + of_term if of_term else 0

    def _frame(self, frame: Frame, state: State) -> int | None:
        found = self._frames.get(frame)
        if found is None:
            if len(self._frames) == self.sizes.frames:
                self._records.full = True
                return None
            found = self._frames[frame] = len(self._frames)
            self._exits.append((frame, state.grammar.state(*frame.reached())))
            self._spellings_in.append({})
        return found

    def is_free(self, number: int) -> bool:
        """Whether the text is free in a state; see ``State.is_free``."""
        state = self._states[number] if number < self.sizes.states else None
        return state is not None and state.is_free

    def place(self, state: State, spelled: int = 0) -> tuple[int, int]:
        """Where a text stands that has so many tokens of a state's spelling: the number of the
        state, or of the one behind the spelling, and where the next token of that is."""
        if not spelled:
            return self.number(state), 0
        tokens = self.spelling(state)
        after = state.behind(self._spellings.text(tokens))
        assert after is not None
        number, chain = self.number(after), self._records.chain(tokens)
        return (number, chain + spelled) if chain else (UNKNOWN, 0)

    def spelling(self, state: State) -> Sequence[int]:
        """The tokens that spell what must come next, where they are the only ones to come."""
        if state.complete or state.first().bit_count() != 1:
            return ()
        return self._spellings.of(state.forced())

    @property
    def described(self) -> int:
        """How many states were."""
        return len(self._following)

    def knows_near(self, number: int, depth: int) -> bool:
        """Whether surely all is described that is up to so many steps behind a state."""
        return self._looked_behind.get(number, 0) >= depth

    def near(self, number: int, depth: int, is_wanted: Callable[[int], bool]) -> Iterator[None]:
        """Describe a state and what may be behind it, up to so many steps from one to another, the
        nearest ones first; yields behind each.

        Args:
            is_wanted: others are not described.
        """
        if self.knows_near(number, depth):
            return
        seen, level, whole = {number, UNKNOWN}, [number], True
        for _ in range(depth):
            behind: list[int] = []
            for at in level:
                following = self._following.get(at)
                if following is None:
                    if self.full:
                        return
                    if not is_wanted(at):
                        whole = False
                        continue
                    following = self.describe(at)
                yield
                behind += [other for other in following if other not in seen]
                seen.update(following)
            level = behind
        if whole:
            self._looked_behind[number] = depth

    def describe(self, number: int) -> Sequence[int]:
        """Make known where bytes lead from a state, and all of its term; the states that follow."""
        found = self._following.get(number)
        if found is None:
            if number >= self.sizes.states:
                found = self._describe_inside(number - self.sizes.states)
            else:
                found = self._describe_outside(number)
            if not self.full:
                self._following[number] = found
        return found

    def _describe_outside(self, number: int) -> Sequence[int]:
        state = self._states[number]
        if state is None:
            return ()
        classes = refine([term.classes() for term, _ in state.configurations])
        behind = [state.step(lowest(members)) for members in classes]
        words = [self.number(after) if after else 0 for after in behind]
        spelling, following = self._put_spelling(state)
        if not any(words) and not (state.complete and self.ends):
            spelling = STOP  # nothing may follow
        flags = COMPLETE if state.complete else 0
        self._records.set(number, self._records.put_record(flags, classes, words, spelling))
        return [*following, *(word for word in dict.fromkeys(words) if word)]

    def _describe_inside(self, place: int) -> Sequence[int]:
        number, term = divmod(place, self.sizes.terms)
        pair = self.sizes.frames_at + 2 * number
        forced, ends = self._terms.closure(term)
        frame, after = self._exits[number]
        following: list[int] = []
        spellings = self._spellings_in[number]
        new = [other for other in forced if other not in spellings]
        for other in new:
            inner = frozenset([(self._terms.term(other), frame)])
            spellings[other], behind = self._put_spelling(after.grammar.state(inner, False))
            following += behind
        if new:
            flat = [word for each in spellings.items() for word in each]
            if at := self._records.put([len(spellings), *flat]):
                self._records.set(pair + 1, at)
        if ends:
            following.append(self.number(after))
            self._records.set(pair, following[-1])
        return following

    def _put_spelling(self, state: State) -> tuple[int, Sequence[int]]:
        """Where the spelling of what must come next is, and the state behind it."""
        tokens = self.spelling(state)
        after = state.behind(self._spellings.text(tokens)) if tokens else None
        if after is None:
            return 0, ()
        number = self.number(after)
        return self._records.put_spelling(tokens, number), (number,)


def only_term(state: State) -> tuple[Regular, Frame] | None:
    """The term that a state reads, and its frame, if all else in it is what comes behind it."""
    configurations = state.configurations
    if len(configurations) == 1:
        ((term, frame),) = configurations
        if not (term.nullable or term.ends or state.complete):
            return term, frame
    for term, frame in configurations:
        if term.nullable and not term.ends:
            behind, complete = frame.reached()
            if (
                complete == state.complete
                and len(behind) + 1 == len(configurations)
                and configurations == behind | {(term, frame)}
            ):
                return term, frame
    return None
