"""Free text up to a trigger, behind which a grammar goes on.

A control token of a vocabulary stands in a grammar as one byte that no text has, so that neither
free text nor a string in a JSON value can hold it, and nothing but the token itself reads as it.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from webllm_py.control_bytes import CONTROL_BYTES
from webllm_py.grammar.pushdown import Terminal
from webllm_py.grammar.regular import choice
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, refine

__all__ = ["FreeText", "free_text"]

Rules = tuple[Regular, Regular, bool, bool]
"""Of a free text: all triggers, the wanted one, whether they are anchored, whether the text ends.
"""
TEXT_BYTES = (1 << 256) - 1 - sum(1 << byte for byte in CONTROL_BYTES)


class FreeText(Terminal):
    """Its own term: put together with what follows, ``ends`` would be lost."""


def free_text(
    trigger: Regular, triggers: Regular | None = None, *, anchored: bool = False, ends: bool = True
) -> FreeText:
    """Any text, up to and including the first ``trigger`` in it.

    Args:
        trigger: of the texts that it matches, the shortest counts.
        triggers: all that may end the text, ``trigger`` among them; None for that one alone. Free
            texts for each of several triggers exclude each other.
        anchored: the trigger counts only where it begins the text.
        ends: the whole text may also end before there is any trigger.
    """
    found = triggers or trigger
    return FreeText(_up_to(found, trigger, (found, trigger, anchored, ends)))


class _UpTo(Regular):
    """``reading`` and ``own`` are what is left to read of any trigger and of the wanted one."""

    __slots__ = ("ends", "own", "reading", "rules")

    def __init__(self, reading: Regular, own: Regular, rules: Rules):
        super().__init__(False)
        self.reading = reading
        self.own = own
        self.rules = rules
        self.ends = rules[3]

    def partition(self) -> tuple[int, ...]:
        classes = refine([self.reading.classes(), self.own.classes()])
        rest = TEXT_BYTES
        for members in classes:
            rest &= ~members
        return (*classes, rest) if rest else classes

    def derivative(self, byte: int) -> Regular:
        reading, own = self.reading.step(byte), self.own.step(byte)
        if reading is EMPTY and not TEXT_BYTES >> byte & 1:
            return EMPTY
        triggers, trigger, anchored, _ = self.rules
        if not anchored:
            reading, own = choice(reading, triggers), choice(own, trigger)
        if reading.nullable:
            return EPSILON if own.nullable else EMPTY
        return _up_to(reading, own, self.rules)


_shared: WeakValueDictionary[tuple[Regular, Regular, Rules], _UpTo] = WeakValueDictionary()


def _up_to(reading: Regular, own: Regular, rules: Rules) -> _UpTo:
    key = (reading, own, rules)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = _UpTo(reading, own, rules)
    return found
