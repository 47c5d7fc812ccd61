"""Regular languages over bytes, as terms that are put together and simplified.

Terms are hash-consed: equal ones are one object, so a term is also a state of a deterministic
automaton. A counted repetition is one term however large its counts are.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from webllm_py.grammar.term import EMPTY, EPSILON, Regular, refine

__all__ = [
    "ALL_BYTES",
    "ANYTHING",
    "ByteSet",
    "Choice",
    "InSequence",
    "Repetition",
    "byte_set",
    "capped",
    "choice",
    "repeat",
    "sequence",
    "until",
]

ALL_BYTES = (1 << 256) - 1


class ByteSet(Regular):
    __slots__ = ("members",)

    def __init__(self, members: int):
        super().__init__(False)
        self.members = members

    def partition(self) -> tuple[int, ...]:
        return (self.members,)

    def derivative(self, byte: int) -> Regular:
        return EPSILON if self.members >> byte & 1 else EMPTY


class InSequence(Regular):
    __slots__ = ("head", "tail")

    def __init__(self, head: Regular, tail: Regular):
        super().__init__(head.nullable and tail.nullable, head.boolean or tail.boolean)
        self.head = head
        self.tail = tail

    def partition(self) -> tuple[int, ...]:
        if self.head.nullable:
            return refine([self.head.classes(), self.tail.classes()])
        return self.head.classes()

    def derivative(self, byte: int) -> Regular:
        after = sequence(self.head.step(byte), self.tail)
        return choice(after, self.tail.step(byte)) if self.head.nullable else after


class Choice(Regular):
    __slots__ = ("options",)

    def __init__(self, options: frozenset[Regular]):
        super().__init__(any(x.nullable for x in options), any(x.boolean for x in options))
        self.options = options

    def partition(self) -> tuple[int, ...]:
        return refine([option.classes() for option in self.options])

    def derivative(self, byte: int) -> Regular:
        return choice(*(option.step(byte) for option in self.options))


class Repetition(Regular):
    __slots__ = ("item", "least", "most")

    def __init__(self, item: Regular, least: int, most: int | None):
        super().__init__(least == 0, item.boolean)
        self.item = item
        self.least = least
        self.most = most

    def partition(self) -> tuple[int, ...]:
        return self.item.classes()

    def derivative(self, byte: int) -> Regular:
        most = None if self.most is None else self.most - 1
        rest = repeat(self.item, max(self.least - 1, 0), most)
        return sequence(self.item.step(byte), rest)


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


_shared: WeakValueDictionary[tuple[object, ...], Regular] = WeakValueDictionary()


def byte_set(members: int) -> Regular:
    """One byte out of a set of 256 bits."""
    if not members:
        return EMPTY
    key = ("bytes", members)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = ByteSet(members)
    return found


def sequence(*parts: Regular) -> Regular:
    """One after the other."""
    result = EPSILON
    for part in reversed(parts):
        result = _pair(part, result)
    return result


def _pair(head: Regular, tail: Regular) -> Regular:
    if head is EMPTY or tail is EMPTY:
        return EMPTY
    if head is EPSILON:
        return tail
    if tail is EPSILON:
        return head
    chain = []
    while isinstance(head, InSequence):
        chain.append(head.head)
        head = head.tail
    tail = _linked(head, tail)
    for part in reversed(chain):
        tail = _linked(part, tail)
    return tail


def _linked(head: Regular, tail: Regular) -> Regular:
    key = ("sequence", head, tail)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = InSequence(head, tail)
    return found


def choice(*options: Regular) -> Regular:
    """Any of these."""
    flat: set[Regular] = set()
    members = 0
    for option in options:
        if isinstance(option, Choice):
            flat |= option.options
        elif option is not EMPTY:
            flat.add(option)
    if len(flat) > 1:
        for option in [x for x in flat if isinstance(x, ByteSet)]:
            members |= option.members
            flat.discard(option)
        if members:
            flat.add(byte_set(members))
        if ANYTHING in flat:
            return ANYTHING
        if EPSILON in flat and any(x.nullable for x in flat if x is not EPSILON):
            flat.discard(EPSILON)
    if not flat:
        return EMPTY
    if len(flat) == 1:
        return flat.pop()
    key = ("choice", frozenset(flat))
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = Choice(frozenset(flat))
    return found


def repeat(item: Regular, least: int = 0, most: int | None = None) -> Regular:
    """``item`` from ``least`` to ``most`` times; ``None`` is without end."""
    if item.nullable:
        least = 0
    if most == 0 or item is EPSILON:
        return EPSILON
    if item is EMPTY:
        return EPSILON if least == 0 else EMPTY
    if least == most == 1:
        return item
    key = ("repeat", item, least, most)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = Repetition(item, least, most)
    return found


def until(found: Regular, after: Regular) -> Regular:
    """Texts of ``after`` that begin with one of ``found``; every text of ``found`` is in both.

    As ``sequence(found, after)`` where ``after`` is closed under going on, but what was found once
    is not looked for again.
    """
    if found is EMPTY or found.nullable:
        return after if found.nullable else EMPTY
    key = ("until", found, after)
    shared = _shared.get(key)
    if shared is None:
        shared = _shared[key] = _Until(found, after)
    return shared


def capped(term: Regular, limit: int) -> Regular:
    """A term that nobody can tell from this one within fewer than ``limit`` bytes.

    Counts are cut to ``limit``. Not for intersections and complements: whether anything is left of
    those can depend on the exact count.
    """
    if isinstance(term, InSequence):
        return sequence(capped(term.head, limit), term.tail)
    if isinstance(term, Choice):
        return choice(*(capped(option, limit) for option in term.options))
    if isinstance(term, Repetition):
        most = None if term.most is None else min(term.most, limit)
        return repeat(term.item, min(term.least, limit), most)
    return term


ANYTHING: Regular = Repetition(ByteSet(ALL_BYTES), 0, None)
_shared["bytes", ALL_BYTES] = ANYTHING.item  # type: ignore[attr-defined]
_shared["repeat", ANYTHING.item, 0, None] = ANYTHING  # type: ignore[attr-defined]
