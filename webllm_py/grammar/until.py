"""Texts that begin with what is looked for."""

from __future__ import annotations

from weakref import WeakValueDictionary

from webllm_py.grammar.term import EMPTY, Regular, refine

__all__ = ["until"]


class _Until(Regular):
    __slots__ = ("after", "found")

    def __init__(self, found: Regular, after: Regular):
        super().__init__(False, found.boolean or after.boolean)
        self.found = found
        self.after = after

    def partition(self) -> tuple[int, ...]:
        return refine([self.found.classes(), self.after.classes()])

    def derivative(self, byte: int) -> Regular:
        return until(self.found.step(byte), self.after.step(byte))

    def first(self) -> int:
        return super().first() if self.boolean else self.found.first()


_shared: WeakValueDictionary[tuple[Regular, Regular], _Until] = WeakValueDictionary()


def until(found: Regular, after: Regular) -> Regular:
    """Texts of ``after`` that begin with one of ``found``; every text of ``found`` is in both.

    As ``sequence(found, after)`` where ``after`` is closed under going on, but what was found once
    is not looked for again.
    """
    if found is EMPTY or found.nullable:
        return after if found.nullable else EMPTY
    key = (found, after)
    shared = _shared.get(key)
    if shared is None:
        shared = _shared[key] = _Until(found, after)
    return shared
