"""A grammar as the words that a GPU reads tokens through, byte by byte.

Whatever a vocabulary has, a token is allowed where each of its bytes is, and leads where its last
one does. So a GPU that knows the automaton over bytes finds masks, and the states behind tokens, by
itself; kernels/sample_follow.wgsl has the layout. Nobody could write all states down: they are told
of as texts come near them.

A state is most often one term that is being read in a frame of the stack, see pushdown.py. What is
known of the term holds in all frames; a frame only adds what comes when the term is over. Others,
with several terms at once, have numbers and records of their own.

Text that leaves no choice is spelled as a tokenizer would: behind a token that ends before it, the
only ones are the spelling's.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from webllm_py.grammar.counted import (
    FEWEST_COUNTED,
    SHORTEST_SPELLED,
    Family,
    Window,
    as_counted,
    family_of,
    forced_in,
)
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.overlaps import read_when_over
from webllm_py.grammar.pushdown import Frame, State
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, refine

__all__ = [
    "HERE",
    "INSIDE",
    "LAST",
    "OVER",
    "RELATIVE",
    "STOP",
    "UNKNOWN",
    "Automaton",
    "Sizes",
    "Spelled",
]

INSIDE, OVER, RELATIVE, HERE = 1 << 30, 1 << 31, 1 << 29, 1 << 28
"""Of a word about what is behind a byte of a term: what is left of it, or that it is over. What is
left may be told by how far its number is from the term's own, with ``HERE`` for none."""
UNKNOWN = 1
"""The number of a state that never has a record."""
COMPLETE, FALLS, FORCED = 1, 2, 4
"""Of a record: the text may end here; the term may be over; it leaves no choice up to its end."""
STOP = 1
"""In the place of a spelling: the host goes on from there."""
LAST = (1 << 32) - 1
PAGE = 64
"""Words that are told of together."""
HEADER = 4
"""Words of a record before what is behind each class of bytes."""
MOST_ENDS = 31
MOST_ROWS = 250
"""Of terms that are described at once: a string of many counted characters has more."""
Spelled: TypeAlias = Callable[[bytes], Sequence[int]]
"""The tokens that are certain where these bytes must come next; none where it does not pay."""


@dataclass(frozen=True)
class Sizes:
    """How many of each there may be.

    Attributes:
        words: of all that is known.
        states: numbers of states that are no single term in a frame.
        terms, frames: numbers of these.
    """

    words: int = 1 << 19
    states: int = 1 << 15
    terms: int = 1 << 15
    frames: int = 1 << 13

    @property
    def terms_at(self) -> int:
        """Where the records of terms are found."""
        return self.states

    @property
    def frames_at(self) -> int:
        """Where the pairs of frames are."""
        return self.terms_at + self.terms

    @property
    def ends_at(self) -> int:
        """Where the tokens are that end a text."""
        return self.frames_at + 2 * self.frames

    @property
    def records_at(self) -> int:
        """Where records begin."""
        return self.ends_at + 1 + MOST_ENDS


class Automaton:
    """Numbers of states, as they are asked for, and what is known of them.

    Args:
        masks: of the vocabulary.
        spelled: tells of text that leaves no choice.
        longest: spellings of more tokens are not part of this: they stay with the caller.

    Attributes:
        words: all that is known; what is behind ``records_at`` grows.
        full: whether there was no room for something.
    """

    def __init__(
        self, masks: TokenMasks, spelled: Spelled, longest: int, sizes: Sizes | None = None
    ):
        self.tokens: Sequence[bytes] = masks.tokens
        self.ends: Sequence[int] = masks.ends[:MOST_ENDS]
        self.sizes = sizes or Sizes()
        self._spell = spelled
        self._longest = longest
        self.clear()

    def clear(self) -> None:
        """Forget all states and numbers."""
        sizes = self.sizes
        self.words = array("I", bytes(4 * sizes.records_at))
        self.words[sizes.ends_at] = len(self.ends)
        self.words[sizes.ends_at + 1 : sizes.ends_at + 1 + len(self.ends)] = array("I", self.ends)
        self._dirty = set(range(-(-sizes.records_at // PAGE)))
        self.full = False
        self._numbers: dict[State, int] = {}
        self._states: list[State | None] = [None, None]  # 0 is none, 1 is never known
        self._terms: list[Regular | Window] = [EMPTY]  # one that is never known
        self._families: dict[tuple[Regular, Regular], Family | None] = {}
        self._term_numbers: dict[Regular, int] = {}
        self._frames: dict[Frame, int] = {}
        self._exits: list[tuple[Frame, State]] = []
        self._spellings_in: list[dict[int, int]] = []  # of each frame, by term
        self._closures: dict[int, tuple[Sequence[int], bool]] = {}
        self._following: dict[int, Sequence[int]] = {}
        self._looked_behind: dict[int, int] = {}  # how deep, by the state
        self._maps: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        self._chains: dict[tuple[int, ...], int] = {}
        self._spelled: dict[bytes, Sequence[int]] = {}

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
            self.full = True
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
        meets = read_when_over(term) & self._exits[number][1].first()
        if meets:  # bytes that may go on with the term, or come behind it
            return 0
        of_term = self._term(term)
        return self.sizes.states + self.sizes.terms * number + of_term if of_term else 0

    def _term(self, term: Regular) -> int:
        """A term's number; 0 where there is no room for another."""
        found = self._term_numbers.get(term, 0)
        if not found:
            found = self._counted(term) or self._new_terms([term])
            if found:
                self._term_numbers[term] = found
        return found

    def _new_terms(self, terms: list[Regular | Window]) -> int:
        """The number of the first of some terms; 0 where there is no room for them."""
        at = len(self._terms)
        if at + len(terms) > self.sizes.terms:
            self.full = True
            return 0
        self._terms += terms
        return at

    def _counted(self, term: Regular) -> int:
        """The number of a term that counts among others that do; 0 where it does not."""
        found = as_counted(term)
        if found is None:
            return 0
        part, items, tail = found
        key = (items.item, tail)
        if key not in self._families:
            self._families[key] = family_of(*key)
        family = self._families[key]
        if family is None:
            return 0
        number = family.find(part, items.least, items.most or 0)
        if number is None and part is EPSILON and (items.most or 0) >= FEWEST_COUNTED:
            number = self._new_window(family, items.least, items.most or 0)
        return number or 0

    def _new_window(self, family: Family, least: int, most: int) -> int:
        window = Window(family, len(self._terms), least, most)
        if self._new_terms([window] * window.size):
            family.windows.append(window)
            self._describe_window(window)
        return 0 if self.full else window.base

    def _frame(self, frame: Frame, state: State) -> int | None:
        found = self._frames.get(frame)
        if found is None and len(self._frames) < self.sizes.frames:
            found = self._frames[frame] = len(self._frames)
            self._exits.append((frame, state.grammar.state(*frame.reached())))
            self._spellings_in.append({})
        return found

    def is_free(self, number: int) -> bool:
        """Whether the text is free in a state; see ``State.is_free``."""
        state = self._states[number] if number < self.sizes.states else None
        return state is not None and state.is_free

    def certain(self, state: State) -> Sequence[int]:
        """The tokens that spell what must come next, if they are too many for this."""
        spelling = self.spelling(state)
        return spelling if len(spelling) > self._longest else ()

    def spelling(self, state: State) -> Sequence[int]:
        """The tokens that spell what must come next, or nothing."""
        if state.complete or state.first().bit_count() != 1:
            return ()
        return self._spelling(state.forced())

    def _spelling(self, forced: bytes) -> Sequence[int]:
        if len(forced) < SHORTEST_SPELLED:
            return ()
        found = self._spelled.get(forced)
        if found is None:
            found = self._spelled[forced] = self._spell(forced)
        return found

    @property
    def described(self) -> int:
        """How many states were."""
        return len(self._following)

    def near(self, number: int, depth: int, is_wanted: Callable[[int], bool]) -> Iterator[None]:
        """Describe a state and what may be behind it, up to so many steps from one to another, the
        nearest ones first; yields behind each.

        Args:
            is_wanted: others are not described.
        """
        if self._looked_behind.get(number, 0) >= depth:
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
        spelled, following = self._spelling_of(state)
        if not any(words) and not (state.complete and self.ends):
            spelled = STOP  # nothing may follow
        record = self._put_record(COMPLETE * state.complete, classes, words, spelled)
        self._set(number, record)
        return [*following, *(word for word in dict.fromkeys(words) if word)]

    def _describe_inside(self, place: int) -> Sequence[int]:
        number, term = divmod(place, self.sizes.terms)
        forced, ends = self._closure(term)
        frame, after = self._exits[number]
        following: list[int] = []
        spellings = self._spellings_in[number]
        new = [other for other in forced if other not in spellings]
        for other in new:
            inner = frozenset([(self._term_of(other), frame)])
            spellings[other], targets = self._spelling_of(after.grammar.state(inner, False))
            following += targets
        if new:
            flat = [word for pair in spellings.items() for word in pair]
            if at := self._put([len(spellings), *flat]):
                self._set(self.sizes.frames_at + 2 * number + 1, at)
        if ends:
            behind = self.number(after)
            self._set(self.sizes.frames_at + 2 * number, behind)
            following.append(behind)
        return following

    def _closure(self, term: int) -> tuple[Sequence[int], bool]:
        """Describe a term and all that may be left of it: those that leave no choice, and whether
        any may be over."""
        found = self._closures.get(term)
        if found is None:
            seen, pending, forced, ends = {term, 0}, [term], list[int](), False
            for at in pending:
                window = self._terms[at]
                if isinstance(window, Window):
                    forced += self._describe_counted(window, at)
                    ends = True
                    continue
                flags, words = self._describe_term(at, window)
                if flags & FORCED:
                    forced.append(at)
                ends = ends or bool(flags & FALLS) or OVER in words
                for word in words:
                    other = word & ~INSIDE
                    if word & INSIDE and other not in seen and len(seen) < MOST_ROWS:
                        seen.add(other)
                        pending.append(other)
            found = forced, ends
            whole = len(seen) < MOST_ROWS  # then it holds for what is left of the term, too
            self._closures.update(dict.fromkeys(seen if whole else [term], found))
        return found

    def _describe_term(self, number: int, term: Regular) -> tuple[int, Sequence[int]]:
        at = self.words[self.sizes.terms_at + number]
        if not at:
            classes = term.classes()
            words = [self._word(term.step(lowest(members))) for members in classes]
            flags, spelled = self._spelling_in(term)
            at = self._put_record(flags, classes, words, spelled)
            self._set(self.sizes.terms_at + number, at)
        if not at:  # there is no room
            return 0, ()
        count = self.words[at + HEADER - 1]
        return self.words[at], self.words[at + HEADER : at + HEADER + count]

    def _describe_window(self, window: Window) -> None:
        """Make known all terms of a window that have items before them."""
        family, stride = window.family, window.family.stride
        records = [self._put_part(family, part, place) for part, place in family.parts.items()]
        main = {0: self._put_main(window, 0, 0)}
        if window.least:
            main[1] = self._put_main(window, 0, 1)
        index = array("I")
        for read in range(window.length):
            index.append(main[int(read < window.least)])
            index.extend(records[1:])
        index.append(0)  # see ``_describe_counted``
        index.extend(records[1:])
        at = self.sizes.terms_at + window.base
        self.words[at : at + len(index)] = index
        self._dirty.update(range(at // PAGE, (at + len(index)) // PAGE + 1))
        assert len(index) == window.size == stride * (window.length + 1)

    def _put_part(self, family: Family, part: Regular, place: int) -> int:
        """What is left of an item is read."""
        if part is EPSILON:
            return 0
        classes = part.classes()
        words = []
        for members in classes:
            rest = part.step(lowest(members))
            words.append(
                0 if rest is EMPTY else INSIDE | RELATIVE | HERE + family.parts[rest] - place
            )
        return self._put_record(0, classes, words)

    def _put_main(self, window: Window, base: int, least: int) -> int:
        """An item begins, or the tail where no more are needed.

        Args:
            base: where the terms are from which an item more is counted; 0: behind this one.
        """
        family = window.family
        first = INSIDE | base if base else INSIDE | RELATIVE | HERE + family.stride
        words = []
        classes = refine([family.item.classes(), family.tail.classes()])
        for members in classes:
            byte = lowest(members)
            rest = family.item.step(byte)
            if rest is not EMPTY:
                words.append(first + family.parts[rest])
            else:
                words.append(0 if least else self._word(family.tail.step(byte)))
        return self._put_record(0, classes, words)

    def _describe_counted(self, window: Window, number: int) -> Sequence[int]:
        """Make known what is behind all items of a window; the terms that leave no choice."""
        family, left = window.family, window.most - window.length
        if not left:
            flags, _ = self._describe_term(window.last, family.tail)
            return [window.last] if flags & FORCED else ()
        index = self.sizes.terms_at + window.last
        if number >= window.last and not self.words[index]:
            least = max(window.least - window.length, 0)
            base = self._new_window(family, least, left)
            if base:
                self._set(index, self._put_main(window, base + family.stride, least))
        return ()

    def _term_of(self, number: int) -> Regular:
        found = self._terms[number]
        return found.term(number) if isinstance(found, Window) else found

    def _word(self, term: Regular) -> int:
        """What is left of a term behind a byte, as a word."""
        if term is EMPTY:
            return 0
        return OVER if term is EPSILON else INSIDE | self._term(term)

    def _spelling_of(self, state: State) -> tuple[int, Sequence[int]]:
        """Where the spelling of what must come next is, and the state behind it."""
        spelling = self.spelling(state)
        text = b"".join(self.tokens[token] for token in spelling)
        after = state.behind(text) if text else None
        if after is None:
            return 0, ()
        target = self.number(after)
        return self._put_spelling(spelling, target), (target,)

    def _spelling_in(self, term: Regular) -> tuple[int, int]:
        """Flags of a term's record, and where the spelling of what must come next is; where that
        goes on behind the term it depends on the frame."""
        if term.nullable:
            return FALLS, 0
        forced, is_whole = forced_in(term)
        if is_whole:
            return FORCED, 0
        spelling = self._spelling(forced)
        if not spelling:
            return 0, 0
        for byte in b"".join(self.tokens[token] for token in spelling):
            term = term.step(byte)
        return 0, self._put_spelling(spelling, self._word(term))

    def _put_spelling(self, spelling: Sequence[int], target: int) -> int:
        if len(spelling) > self._longest:
            return STOP
        key = tuple(spelling)
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = self._put([*spelling, LAST])
        return self._put([target, chain])

    def _put_record(
        self, flags: int, classes: tuple[int, ...], words: Sequence[int], spelled: int = 0
    ) -> int:
        """Where a record is from now on; 0: there is no room."""
        kinds = [0, *(word for word in dict.fromkeys(words) if word)]
        if len(kinds) > 256:
            self.full = True
            return 0
        at = {word: number for number, word in enumerate(kinds)}
        numbers = tuple(at[word] for word in words)
        found = self._maps.get((classes, numbers))
        if found is None:
            found = self._maps[classes, numbers] = self._put_map(classes, numbers)
        return self._put([flags, found, spelled, len(kinds), *kinds])

    def _put_map(self, classes: tuple[int, ...], numbers: tuple[int, ...]) -> int:
        kinds = bytearray(256)
        for members, number in zip(classes, numbers, strict=True):
            while members and number:
                kinds[(members & -members).bit_length() - 1] = number
                members &= members - 1
        return self._put(array("I", bytes(kinds)))

    def _put(self, words: Sequence[int]) -> int:
        """Where these words are from now on; 0: there is no room, and for nothing behind them."""
        at = len(self.words)
        self.full = self.full or at + len(words) > self.sizes.words
        if self.full:
            return 0
        self.words.extend(words)
        self._dirty.update(range(at // PAGE, len(self.words) // PAGE + 1))
        return at

    def _set(self, at: int, word: int) -> None:
        if self.words[at] != word:
            self.words[at] = word
            self._dirty.add(at // PAGE)

    def changes(self) -> Iterator[tuple[int, array[int]]]:
        """What changed since it was asked before: where, and the words there."""
        pages, self._dirty = sorted(self._dirty), set()
        begin = 0
        for i, page in enumerate(pages):
            if i + 1 == len(pages) or pages[i + 1] != page + 1:
                at = PAGE * pages[begin]
                if words := self.words[at : PAGE * (page + 1)]:
                    yield at, words
                begin = i + 1

    def all_changed(self) -> None:
        """Whoever asks has nothing yet."""
        self._dirty.update(range(-(-len(self.words) // PAGE)))


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


def lowest(members: int) -> int:
    """The first byte of a set."""
    return (members & -members).bit_length() - 1
