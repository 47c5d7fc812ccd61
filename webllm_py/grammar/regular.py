"""Regular languages over bytes, read one byte at a time by Brzozowski derivatives.

A language is a hash-consed term: equal terms are one object, so a term is also a state of a
deterministic automaton that is built as far as it is read. Intersection and complement are terms
like the others, and a counted repetition is one term however large its counts are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from weakref import WeakValueDictionary

from webllm_py.errors import GrammarError

__all__ = [
    "ANYTHING",
    "EMPTY",
    "EPSILON",
    "Regular",
    "both",
    "byte_set",
    "capped",
    "choice",
    "complement",
    "refine",
    "repeat",
    "sequence",
    "until",
]

ALL_BYTES = (1 << 256) - 1
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
                lowest = (members & -members).bit_length() - 1
                found = self._steps.get(lowest)
                if found is None:
                    found = self._ahead(lowest)
                    if found.boolean and not found.alive():
                        found = EMPTY
                    self._steps[lowest] = found
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
            lowest = (members & -members).bit_length() - 1
            if self.step(lowest) is not EMPTY:
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
                target = term._ahead((members & -members).bit_length() - 1)
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


class _Bytes(Regular):
    __slots__ = ("members",)

    def __init__(self, members: int):
        super().__init__(False)
        self.members = members

    def partition(self) -> tuple[int, ...]:
        return (self.members,)

    def derivative(self, byte: int) -> Regular:
        return EPSILON if self.members >> byte & 1 else EMPTY


class _Sequence(Regular):
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


class _Choice(Regular):
    __slots__ = ("options",)

    def __init__(self, options: frozenset[Regular]):
        super().__init__(any(x.nullable for x in options), any(x.boolean for x in options))
        self.options = options

    def partition(self) -> tuple[int, ...]:
        return refine([option.classes() for option in self.options])

    def derivative(self, byte: int) -> Regular:
        return choice(*(option.step(byte) for option in self.options))


class _Repeat(Regular):
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


class _Both(Regular):
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


_shared: WeakValueDictionary[tuple[object, ...], Regular] = WeakValueDictionary()

EMPTY: Regular = _Empty(False)
EMPTY._alive = False
EPSILON: Regular = _Empty(True)


def byte_set(members: int) -> Regular:
    """One byte out of a set of 256 bits."""
    if not members:
        return EMPTY
    key = ("bytes", members)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = _Bytes(members)
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
    while isinstance(head, _Sequence):
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
        found = _shared[key] = _Sequence(head, tail)
    return found


def choice(*options: Regular) -> Regular:
    """Any of these."""
    flat: set[Regular] = set()
    members = 0
    for option in options:
        if isinstance(option, _Choice):
            flat |= option.options
        elif option is not EMPTY:
            flat.add(option)
    if len(flat) > 1:
        for option in [x for x in flat if isinstance(x, _Bytes)]:
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
        found = _shared[key] = _Choice(frozenset(flat))
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
        found = _shared[key] = _Repeat(item, least, most)
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


def both(*parts: Regular) -> Regular:
    """What is in every one of these."""
    flat: set[Regular] = set()
    for part in parts:
        if part is EMPTY:
            return EMPTY
        if isinstance(part, _Both):
            flat |= part.parts
        elif part is not ANYTHING:
            flat.add(part)
    if EPSILON in flat:
        return EPSILON if all(part.nullable for part in flat) else EMPTY
    repeats = [part for part in flat if isinstance(part, _Repeat)]
    for part in repeats:
        star = part.most is None and not part.least
        if star and any(x.item is part.item and x is not part for x in repeats):
            flat.discard(part)
    if not flat:
        return ANYTHING
    if len(flat) == 1:
        return flat.pop()
    heads = {part.head if isinstance(part, _Sequence) else None for part in flat}
    if len(heads) == 1 and isinstance(head := heads.pop(), _Bytes):
        return sequence(head, both(*(x.tail for x in flat if isinstance(x, _Sequence))))
    key = ("both", frozenset(flat))
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = _Both(frozenset(flat))
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


def capped(term: Regular, limit: int) -> Regular:
    """A term that nobody can tell from this one within fewer than ``limit`` bytes.

    Counts are cut to ``limit``. Not for intersections and complements: whether anything is left of
    those can depend on the exact count.
    """
    if isinstance(term, _Sequence):
        return sequence(capped(term.head, limit), term.tail)
    if isinstance(term, _Choice):
        return choice(*(capped(option, limit) for option in term.options))
    if isinstance(term, _Repeat):
        most = None if term.most is None else min(term.most, limit)
        return repeat(term.item, min(term.least, limit), most)
    return term


ANYTHING: Regular = _Repeat(_Bytes(ALL_BYTES), 0, None)
_shared["bytes", ALL_BYTES] = ANYTHING.item  # type: ignore[attr-defined]
_shared["repeat", ANYTHING.item, 0, None] = ANYTHING  # type: ignore[attr-defined]
