"""The words of an automaton as a GPU reads them; kernels/sample_follow.wgsl has the layout."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from webllm_py.grammar.term import lowest

__all__ = [
    "COMPLETE",
    "FALLS",
    "FORCED",
    "HERE",
    "INSIDE",
    "LAST",
    "MOST_ENDS",
    "OVER",
    "RELATIVE",
    "STOP",
    "UNKNOWN",
    "Records",
    "Sizes",
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
"""Behind the tokens of a spelling."""
HEADER = 4
"""Words of a record before what is behind each kind of bytes."""
MOST_ENDS = 31
PAGE = 64
"""Words that are told of together."""


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


class Records:
    """Words, of which those behind ``Sizes.records_at`` grow.

    Args:
        ends: the tokens that end a text.

    Attributes:
        full: whether there was no room for something. From then on nothing is added.
    """

    def __init__(self, sizes: Sizes, ends: Sequence[int]):
        self.sizes = sizes
        self.words = array("I", bytes(4 * sizes.records_at))
        self.words[sizes.ends_at] = len(ends)
        self.words[sizes.ends_at + 1 : sizes.ends_at + 1 + len(ends)] = array("I", ends)
        self.full = False
        self._dirty = set(range(-(-sizes.records_at // PAGE)))
        self._maps: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        self._chains: dict[tuple[int, ...], int] = {}

    @property
    def filled(self) -> float:
        """Which share of the room for words is taken."""
        begin = self.sizes.records_at
        return (len(self.words) - begin) / (self.sizes.words - begin)

    def put(self, words: Sequence[int]) -> int:
        """Where these words are from now on; 0: there is no room."""
        at = len(self.words)
        self.full = self.full or at + len(words) > self.sizes.words
        if self.full:
            return 0
        self.words.extend(words)
        self._touch(at, len(words))
        return at

    def set(self, at: int, word: int) -> None:
        """Change a word."""
        if self.words[at] != word:
            self.words[at] = word
            self._dirty.add(at // PAGE)

    def fill(self, at: int, words: array[int]) -> None:
        """Change words in a row."""
        self.words[at : at + len(words)] = words
        self._touch(at, len(words))

    def put_record(
        self, flags: int, classes: tuple[int, ...], words: Sequence[int], spelling: int = 0
    ) -> int:
        """A record of what is behind the bytes of each class; those of none are refused.

        Args:
            words: of each class, 0 where its bytes are refused.
        """
        kinds = [0, *(word for word in dict.fromkeys(words) if word)]
        if len(kinds) > 256:  # in which case none of 256 bytes is refused: no UTF-8 does that
            self.full = True
        at = {word: number for number, word in enumerate(kinds)}
        numbers = tuple(at[word] for word in words)
        found = self._maps.get((classes, numbers))
        if found is None:
            found = self._maps[classes, numbers] = self.put_map(classes, numbers)
        return self.put([flags, found, spelling, len(kinds), *kinds])

    def put_map(self, classes: tuple[int, ...], numbers: tuple[int, ...]) -> int:
        """The kinds of all bytes, by their class."""
        if self.full:
            return 0
        kinds = bytearray(256)
        for members, number in zip(classes, numbers, strict=True):
            while members and number:
                kinds[lowest(members)] = number
                members &= members - 1
        return self.put(array("I", bytes(kinds)))

    def put_spelling(self, tokens: Sequence[int], behind: int) -> int:
        """The only tokens that may come, and what is behind them."""
        return self.put([behind, self.chain(tokens), len(tokens)])

    def chain(self, tokens: Sequence[int]) -> int:
        """Where the tokens of a spelling begin; 0: there is no room."""
        key = tuple(tokens)
        found = self._chains.get(key, 0)
        if not found:
            found = self._chains[key] = self.put([*tokens, LAST])
        return found

    def record(self, index: int) -> tuple[int, Sequence[int]] | None:
        """The flags of a record and what is behind bytes; None where there is none."""
        at = self.words[index]
        if not at:
            return None
        count = self.words[at + HEADER - 1]
        return self.words[at], self.words[at + HEADER : at + HEADER + count]

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

    def touch_all(self) -> None:
        """Whoever asks for changes has nothing yet."""
        self._touch(0, len(self.words))

    def _touch(self, at: int, count: int) -> None:
        self._dirty.update(range(at // PAGE, (at + count) // PAGE + 1))
