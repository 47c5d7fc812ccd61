"""What all texts in quotes have in common, whatever the place that they are at in a document.

Until its closing quote a string tells nothing of what is around it. So states inside of one are
told apart by two things: the term that is left to read, and the frame behind it, of which it only
matters which of the texts that tokens have behind a quote it allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from webllm_py.grammar.pushdown import State
from webllm_py.grammar.regular import InSequence, byte_set
from webllm_py.grammar.term import Regular

__all__ = ["CLOSING", "DUE", "QUOTE", "Endings", "is_inside"]

QUOTE = ord('"')
CLOSING = byte_set(1 << QUOTE)
DUE = 0
"""The way out where nothing but the closing quote is left."""
USUAL = 16
"""Texts behind a quote, the shortest first, that are followed before they are met."""


def is_inside(term: Regular) -> bool:
    """Whether a term goes on for a byte at least, of which there is a choice, and to a quote."""
    last = term
    while isinstance(last, InSequence):
        last = last.tail
    return last is CLOSING and term.first().bit_count() > 1


@dataclass
class Branch:
    """Texts that begin alike: the number of the one that ends here, or none."""

    number: int = 0
    further: dict[int, Branch] = field(default_factory=dict)


Allowed: TypeAlias = list[tuple[int, State]]


class Endings:
    """The texts behind a quote in the tokens of a vocabulary, numbered from 1 on: ways out.

    Args:
        tokens: those with a quote in them, and their texts.
    """

    def __init__(self, tokens: Iterable[tuple[int, bytes]]):
        self._root = Branch()
        self._numbers: dict[bytes, int] = {}
        self._lengths: list[int] = [0]
        self._closing: dict[int, list[tuple[int, bytes]]] = {}
        for token, text in tokens:
            at = text.find(QUOTE)
            self._closing.setdefault(self._add(text[at + 1 :]), []).append((token, text))
            while at >= 0:
                self._add(text[at + 1 :])
                at = text.find(QUOTE, at + 1)
        for closing in self._closing.values():
            closing.sort(key=lambda one: len(one[1]))

    def _add(self, text: bytes) -> int:
        found = self._numbers.get(text)
        if found is None:
            branch = self._root
            for byte in text:
                branch = branch.further.setdefault(byte, Branch())
            found = branch.number = self._numbers[text] = len(self._lengths)
            self._lengths.append(len(text))
        return found

    @property
    def count(self) -> int:
        """All numbers are less than this."""
        return len(self._lengths)

    def number(self, text: bytes) -> int:
        """That of a text behind a quote."""
        return self._numbers[text]

    def closing(self, ways: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """The tokens, the shortest first, behind whose first quote each of some texts is."""
        for way in ways:
            yield from self._closing.get(way, ())

    def allowed(self, state: State) -> Allowed:
        """The texts that are allowed from a state on, and where they lead."""
        found: Allowed = []
        pending = [(self._root, state)]
        while pending:
            branch, at = pending.pop()
            if branch.number:
                found.append((branch.number, at))
            for byte, further in branch.further.items():
                after = at.step(byte)
                if after is not None:
                    pending.append((further, after))
        return found

    def usual(self, allowed: Allowed) -> Sequence[tuple[int, State]]:
        """The shortest few of them."""
        return sorted(allowed, key=lambda one: (self._lengths[one[0]], one[0]))[:USUAL]
