"""Intersections and complements of regular languages, which are terms like the others."""

from __future__ import annotations

from weakref import WeakValueDictionary

from webllm_py.grammar.regular import (
    ALL_BYTES,
    ANYTHING,
    ByteSet,
    InSequence,
    Repetition,
    sequence,
)
from webllm_py.grammar.term import EMPTY, EPSILON, Regular

__all__ = ["Both", "both", "complement"]


class Both(Regular):
    __slots__ = ("parts",)

    def __init__(self, parts: frozenset[Regular]):
        super().__init__(all(part.nullable for part in parts), True)
        self.parts = parts

    def partition(self) -> tuple[int, ...]:
        found: tuple[int, ...] = (ALL_BYTES,)
        for part in self.parts:
            found = tuple(a & b for a in found for b in part.classes() if a & b)
        return found

    def derivative(self, byte: int) -> Regular:
        return both(*(part.step(byte) for part in self.parts))


class _Complement(Regular):
    __slots__ = ("inner",)

    def __init__(self, inner: Regular):
        super().__init__(not inner.nullable, True)
        self.inner = inner

    def partition(self) -> tuple[int, ...]:
        found = self.inner.classes()
        rest = ALL_BYTES
        for members in found:
            rest &= ~members
        return (*found, rest) if rest else found

    def derivative(self, byte: int) -> Regular:
        return complement(self.inner.step(byte))


_shared: WeakValueDictionary[tuple[object, ...], Regular] = WeakValueDictionary()


def both(*parts: Regular) -> Regular:
    """What is in every one of these."""
    flat: set[Regular] = set()
    for part in parts:
        if part is EMPTY:
            return EMPTY
        if isinstance(part, Both):
            flat |= part.parts
        elif part is not ANYTHING:
            flat.add(part)
    if EPSILON in flat:
        return EPSILON if all(part.nullable for part in flat) else EMPTY
    repeats = [part for part in flat if isinstance(part, Repetition)]
    for part in repeats:
        star = part.most is None and not part.least
        if star and any(x.item is part.item and x is not part for x in repeats):
            flat.discard(part)
    if not flat:
        return ANYTHING
    if len(flat) == 1:
        return flat.pop()
    heads = {part.head if isinstance(part, InSequence) else None for part in flat}
    if len(heads) == 1 and isinstance(head := heads.pop(), ByteSet):
        return sequence(head, both(*(x.tail for x in flat if isinstance(x, InSequence))))
    key = ("both", frozenset(flat))
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = Both(frozenset(flat))
    return found


def complement(inner: Regular) -> Regular:
    """Every string of bytes that is not in ``inner``."""
    if inner is EMPTY:
        return ANYTHING
    if inner is ANYTHING:
        return EMPTY
    if isinstance(inner, _Complement):
        return inner.inner
    key = ("complement", inner)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = _Complement(inner)
    return found
