"""Numbers of states inside of quotes, and what is known of them, wherever in a document they are.

Such a state is a term that is left to read, in a frame, see quoted.py. What is known of one holds
for the same term in each frame of its kind: those that allow the same texts behind the quote.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from webllm_py.grammar.descriptions import ENDS, INSIDE, Description, Sizes
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.pushdown import Frame, State
from webllm_py.grammar.quoted import CLOSING, DUE, Endings, is_inside
from webllm_py.grammar.slices import CLASSES, EVERYTHING, LONGEST, SLICES
from webllm_py.grammar.term import EPSILON, Regular

__all__ = ["Strings"]

CLOSERS = 64
"""Most tokens with a closing quote that are looked up before they are met."""


class Strings:
    """Terms, frames and kinds of frames, as they are asked for; as many as there is room for.

    Args:
        masks: of the vocabulary, with their tables made.
    """

    def __init__(self, masks: TokenMasks, sizes: Sizes):
        self.masks = masks
        self.sizes = sizes
        self._endings = Endings((token, masks.tokens[token]) for token in masks.quoted)
        self.clear()

    def clear(self) -> None:
        """Forget all numbers."""
        self._is_inside: dict[Regular, bool] = {}
        self._terms: list[Regular] = []
        self._term_numbers: dict[Regular, int] = {}
        self._words: dict[Regular, int] = {CLOSING: ENDS | DUE}
        self._frames: dict[Frame, int] = {}
        self._kinds: dict[tuple[int, ...], int] = {}
        self._kind_of: list[int] = []
        self._usual: list[Sequence[tuple[int, State]]] = []

    def find(self, state: State) -> tuple[int, int] | None:
        """The numbers of a state's frame and term; None where it is not inside of quotes, or there
        is no room."""
        if len(state.configurations) != 1:
            return None
        ((term, frame),) = state.configurations
        if not self._inside_quotes(term):
            return None
        term_number, frame_number = self._number(term), self._frame(state, frame)
        if term_number is None or frame_number is None:
            return None
        return frame_number, term_number

    def term(self, number: int) -> Regular:
        """What is left to read."""
        return self._terms[number]

    def kind(self, frame: int) -> int:
        """The number of a frame's kind."""
        return self._kind_of[frame]

    def usual(self, frame: int) -> Sequence[tuple[int, State]]:
        """The ways out of a frame that are usual, and where they lead."""
        return self._usual[frame]

    def _inside_quotes(self, term: Regular) -> bool:
        known = self._is_inside.get(term)
        if known is None:
            known = self._is_inside[term] = is_inside(term)
        return known

    def _number(self, term: Regular) -> int | None:
        if term not in self._term_numbers and len(self._terms) < self.sizes.terms:
            self._term_numbers[term] = len(self._terms)
            self._terms.append(term)
        return self._term_numbers.get(term)

    def _frame(self, state: State, frame: Frame) -> int | None:
        """The number of what is around a state."""
        found = self._frames.get(frame)
        if found is None and len(self._frames) < self.sizes.frames:
            allowed = self._endings.allowed(state.grammar.state(*frame.reached()))
            kind = tuple(sorted(number for number, _ in allowed))
            if kind not in self._kinds and len(self._kinds) == self.sizes.kinds:
                return None
            found = self._frames[frame] = len(self._frames)
            self._kind_of.append(self._kinds.setdefault(kind, len(self._kinds)))
            due = state.grammar.state(frozenset([(CLOSING, frame)]), False)
            self._usual.append([(DUE, due), *self._endings.usual(allowed)])
        return found

    def word(self, term: Regular) -> int:
        """What a description says of tokens behind which a term is left to read; 0: nothing."""
        found = self._words.get(term, 0)
        if not found:
            if not self._inside_quotes(term):
                found = ENDS | (self._endings.count + len(self._words))
            elif (number := self._number(term)) is not None:
                found = INSIDE | number
            if found:
                self._words[term] = found
        return found

    def word_behind(self, term: Regular, text: bytes) -> int:
        """The same of a token that is allowed before a term, by its text."""
        for place, byte in enumerate(text, start=1):
            term = term.step(byte)
            if term is EPSILON:
                return ENDS | self._endings.number(text[place:])
        return self.word(term)

    def describe(self, frame: int, term: int, mask: bytes) -> Description:
        """What is known of a state at once: tokens by their class, and those that usually end a
        text.

        Args:
            mask: the tokens that may be drawn.
        """
        left = self._terms[term]
        by_class, looked = self._by_class(left, mask)
        ways = [way for way, _ in self._usual[frame]]
        return Description(mask, by_class, self._closers(left, ways, mask), looked=looked)

    def _by_class(self, term: Regular, mask: bytes) -> tuple[array[int], bool]:
        """What is behind the tokens of each class, and whether something is of each slice."""
        found, looked = array("I", bytes(4 * CLASSES)), True
        of_any = self._chain([term], EVERYTHING)
        words_of_any = array("I", map(self.word, of_any[1:]))
        for part in range(len(SLICES)):
            further = self._chain(of_any, part)[len(of_any) :]
            words = words_of_any + array("I", map(self.word, further))
            found[LONGEST * part : LONGEST * part + len(words)] = words
            if not words and looked:
                of_slice = self.masks.up_to(part, LONGEST)
                looked = not int.from_bytes(mask, "little") & of_slice
        return found if any(found) else array("I"), looked

    def _chain(self, known: Sequence[Regular], part: int) -> Sequence[Regular]:
        """What is left behind no character of a slice, one, two, and so on, as long as it is the
        same whatever the characters."""
        chain = [*known]
        while len(chain) <= LONGEST:
            after = self.masks.only_behind(chain[-1], part)
            if after is None:
                break
            chain.append(after)
        return chain

    def _closers(self, term: Regular, ways: Iterable[int], mask: bytes) -> dict[int, int]:
        found: dict[int, int] = {}
        for token, text in self._endings.closing(ways):
            if mask[token >> 3] >> (token & 7) & 1:
                found[token] = self.word_behind(term, text)
                if len(found) == CLOSERS:
                    break
        return found
