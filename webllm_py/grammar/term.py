"""Terms of regular languages: states of an automaton that is built as far as it is read.

A term is read one byte at a time by its derivatives (Brzozowski 1964). regular.py and boolean.py
have the kinds of terms, and put them together so that equal ones are one object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from webllm_py.errors import GrammarError

__all__ = ["EMPTY", "EPSILON", "Regular", "lowest", "refine"]

SEARCH_LIMIT = 20_000
"""States looked through before a term is given up as too complex to tell whether it is empty."""


class Regular:
    """One term. Built by the functions of this module, which simplify and share.

    Attributes:
        nullable: the empty string is in the language.
        boolean: an intersection or complement is inside, so that emptiness needs a search.
        ends: the whole text may end inside this term, whatever was to follow it.
    """

    ends = False

    __slots__ = (
        "__weakref__",
        "_alive",
        "_classes",
        "_derivatives",
        "_steps",
        "boolean",
        "nullable",
    )

    def __init__(self, nullable: bool, boolean: bool = False):
        self.nullable = nullable
        self.boolean = boolean
        self._steps: dict[int, Regular] = {}
        self._derivatives: dict[int, Regular] = {}
        self._classes: tuple[int, ...] | None = None
        self._alive: bool | None = None if boolean else True

    def step(self, byte: int) -> Regular:
        """What may follow once ``byte`` was read; ``EMPTY`` where nothing may."""
        found = self._steps.get(byte)
        return found if found is not None else self._first_step(byte)

    def _first_step(self, byte: int) -> Regular:
        for members in self.classes():
            if members >> byte & 1:
                first = lowest(members)
                found = self._steps.get(first)
                if found is None:
                    found = self._ahead(first)
                    if found.boolean and not found.alive():
                        found = EMPTY
                    self._steps[first] = found
                break
        else:
            found = EMPTY
        self._steps[byte] = found
        return found

    def _ahead(self, byte: int) -> Regular:
        """The derivative, which may turn out to be empty."""
        found = self._derivatives.get(byte)
        if found is None:
            found = self._derivatives[byte] = self.derivative(byte)
        return found

    def classes(self) -> tuple[int, ...]:
        """Disjoint sets of bytes that this term cannot tell apart; what is in none is refused."""
        if self._classes is None:
            self._classes = self.partition()
        return self._classes

    def first(self) -> int:
        """The set of bytes that may come first, as 256 bits."""
        total = 0
        for members in self.classes():
            if self.step(lowest(members)) is not EMPTY:
                total |= members
        return total

    def alive(self) -> bool:
        """Whether any string is in the language.

        Raises:
            GrammarError: it takes more than ``SEARCH_LIMIT`` states to tell.
        """
        if self._alive is None:
            self._search()
        return bool(self._alive)

    def _search(self) -> None:
        """Set ``_alive`` of this term and of others that were met.

        A path to an accepting term settles all terms on it; a search that ends without one
        settles all that it saw.
        """
        parents: dict[Regular, Regular | None] = {self: None}
        pending = deque([self])
        while pending:
            term = pending.popleft()
            if term.nullable or term._alive:
                walk: Regular | None = term
                while walk is not None:
                    walk._alive = True
                    walk = parents[walk]
                return
            if len(parents) > SEARCH_LIMIT:
                raise GrammarError("a pattern combined with other limits is too complex to check")
            for members in term.classes():
                target = term._ahead(lowest(members))
                if target is not EMPTY and target._alive is not False and target not in parents:
                    parents[target] = term
                    pending.append(target)
        for term in parents:
            term._alive = False

    def partition(self) -> tuple[int, ...]:
        raise NotImplementedError

    def derivative(self, byte: int) -> Regular:
        raise NotImplementedError


class _Empty(Regular):
    __slots__ = ()

    def partition(self) -> tuple[int, ...]:
        return ()

    def derivative(self, byte: int) -> Regular:
        return EMPTY


def refine(partitions: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The coarsest sets that lie within or outside each set of each partition."""
    found: list[int] = []
    for partition in partitions:
        for new in partition:
            split = []
            for old in found:
                common = old & new
                if common and common != old:
                    split += [common, old ^ common]
                else:
                    split.append(old)
                new &= ~old
            if new:
                split.append(new)
            found = split
    return tuple(found)


EMPTY: Regular = _Empty(False)
EMPTY._alive = False
EPSILON: Regular = _Empty(True)


def lowest(members: int) -> int:
    """The first byte of a set that is not empty."""
    return (members & -members).bit_length() - 1
