"""Terms that count: what is known of ``item{least,most} tail`` is nearly the same for all counts.

A GPU is told of it once. The numbers of such terms follow each other at equal distances, those for
each count of items that were read, and so do what is left of an item in between: what is behind a
byte is so many numbers further, whatever was read before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from webllm_py.grammar.pushdown import FORCED_LIMIT
from webllm_py.grammar.regular import InSequence, Repetition, repeat, sequence
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, lowest

__all__ = ["FEWEST_COUNTED", "Family", "Window", "as_counted", "family_of", "forced_in"]

FEWEST_COUNTED = 16
"""Items from which on they are counted."""
MOST_COUNTED = 128
"""Of one window; behind it comes another."""
MOST_PARTS = 64
SHORTEST_SPELLED = 3
"""Bytes of text that may be spelled: fewer are no three tokens."""


@dataclass(eq=False)
class Family:
    """All terms ``part item{least,most} tail`` with one item and one tail.

    Attributes:
        parts: what may be left of an item, nothing first; by its place.
        stride: how far the numbers are apart for an item more.
    """

    item: Regular
    tail: Regular
    parts: dict[Regular, int]
    windows: list[Window] = field(default_factory=list)

    @property
    def stride(self) -> int:
        return len(self.parts)

    def find(self, part: Regular, least: int, most: int) -> int | None:
        """The number of a term, if there is one."""
        place = self.parts.get(part)
        for window in reversed(self.windows) if place is not None else ():
            read = window.most - most
            if 0 <= read <= window.length and max(window.least - read, 0) == least:
                return window.base + self.stride * read + (place or 0)
        return None


@dataclass(eq=False)
class Window:
    """Numbers of a family's terms: from ``base`` on, for up to ``length`` items that were read."""

    family: Family
    base: int
    least: int
    most: int

    @property
    def length(self) -> int:
        return min(self.most, MOST_COUNTED)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.family.stride * (self.length + 1)

    @property
    def last(self) -> int:
        """The number behind all items."""
        return self.base + self.family.stride * self.length

    def term(self, number: int) -> Regular:
        """The term that has a number."""
        read, place = divmod(number - self.base, self.family.stride)
        part = list(self.family.parts)[place]
        count = repeat(self.family.item, max(self.least - read, 0), self.most - read)
        return sequence(part, count, self.family.tail)


def as_counted(term: Regular) -> tuple[Regular, Repetition, Regular] | None:
    """What is left of an item, the items and the tail, where a term is of this kind."""
    heads: list[Regular] = []
    while isinstance(term, InSequence):
        if isinstance(term.head, Repetition) and term.head.most is not None:
            return sequence(*heads), term.head, term.tail
        heads.append(term.head)
        term = term.tail
    return None


def family_of(item: Regular, tail: Regular) -> Family | None:
    """The terms of an item and a tail, if they are as simple as a string's: whatever the count,
    each byte says whether an item goes on, another one begins, or the tail does."""
    if item.boolean or tail.boolean or item.nullable or tail.nullable:
        return None
    if item.first() & tail.first() or item.first().bit_count() < 2:
        return None
    parts = {EPSILON: 0}
    pending = [item]
    for term in pending:
        for members in term.classes():
            rest = term.step(lowest(members))
            if rest is EMPTY or rest is EPSILON or rest in parts:
                continue
            text, is_whole = forced_in(rest)
            if rest.nullable or is_whole or len(text) >= SHORTEST_SPELLED:
                return None
            parts[rest] = len(parts)
            pending.append(rest)
            if len(parts) > MOST_PARTS:
                return None
    return Family(item, tail, parts)


def forced_in(term: Regular) -> tuple[bytes, bool]:
    """The first bytes that a term leaves no choice about, and whether it may be over behind them;
    but where it is to begin with."""
    found = bytearray()
    while len(found) < FORCED_LIMIT:
        first = term.first()
        if first.bit_count() != 1:
            break
        found.append(first.bit_length() - 1)
        term = term.step(found[-1])
        if term.nullable:
            return bytes(found), True
    return bytes(found), False
