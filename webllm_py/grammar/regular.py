"""Regular languages over bytes, as terms that are put together and simplified.

Terms are hash-consed: equal ones are one object, so a term is also a state of a deterministic
automaton. A counted repetition is one term however large its counts are.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from webllm_py.errors import GrammarError
from webllm_py.grammar.boxes import UNBOUNDED, Box, united
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, refine

__all__ = [
    "ALL_BYTES",
    "ANYTHING",
    "ByteSet",
    "Choice",
    "InSequence",
    "Repetition",
    "byte_set",
    "choice",
    "repeat",
    "sequence",
]

ALL_BYTES = (1 << 256) - 1
MOST_OPTIONS = 512
"""That reading may come to hold at once; what is written as more options is no more of a cost."""
MOST_UNSORTED = 2048
"""The same, before those are put together that differ in counts only."""
MOST_NESTED = 16
"""Options among which those of an inner choice stay by themselves."""
MOST_AXES = 12
"""Parts of a sequence, its first ones, whose counts are told apart from what they count."""


class ByteSet(Regular):
    __slots__ = ("members",)

    def __init__(self, members: int):
        super().__init__(False)
        self.members = members

    def partition(self) -> tuple[int, ...]:
        return (self.members,)

    def derivative(self, byte: int) -> Regular:
        return EPSILON if self.members >> byte & 1 else EMPTY

    def first(self) -> int:
        return self.members


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
        if not self.head.nullable:
            return after
        return _bounded(choice(after, self.tail.step(byte)), self)

    def first(self) -> int:
        if self.boolean:
            return super().first()
        return self.head.first() | (self.tail.first() if self.head.nullable else 0)


class Choice(Regular):
    """Options that differ in counters only are one where that has the same texts."""

    __slots__ = ("options",)

    def __init__(self, options: frozenset[Regular]):
        super().__init__(any(x.nullable for x in options), any(x.boolean for x in options))
        self.options = options

    def partition(self) -> tuple[int, ...]:
        return refine(dict.fromkeys(option.classes() for option in self.options))

    def derivative(self, byte: int) -> Regular:
        found, most = 0, MOST_UNSORTED
        behind: list[Regular] = []
        for option in self.options:
            rest = option.step(byte)
            behind.append(rest)
            found += len(rest.options) if isinstance(rest, Choice) else 1
            if found > most:
                most = max(most, 4 * _written(self))
                if found > most:
                    raise _too_ambiguous()
        return _bounded(choice(*behind), self)

    def first(self) -> int:
        if self.boolean:
            return super().first()
        found = 0
        for option in self.options:
            found |= option.first()
        return found


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

    def first(self) -> int:
        return super().first() if self.boolean else self.item.first()


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
    if isinstance(head, Repetition):  # a{1,2}a{3,4} is a{4,6}
        following = tail.head if isinstance(tail, InSequence) else tail
        if isinstance(following, Repetition) and following.item is head.item:
            most = None
            if head.most is not None and following.most is not None:
                most = head.most + following.most
            both = repeat(head.item, head.least + following.least, most)
            return _linked(both, tail.tail) if isinstance(tail, InSequence) else both
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
        flat = _united(_distributed(flat) if len(flat) > MOST_NESTED else flat)
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


def _distributed(options: set[Regular]) -> set[Regular]:
    """``(a|b)c`` as ``ac`` and ``bc``: sequences that begin with one part of a pattern are then
    as many as what may be left of it, not as the sets of that."""
    found: set[Regular] = set()
    pending = list(options)
    while pending:
        option = pending.pop()
        if isinstance(option, Choice):
            pending += option.options
        elif isinstance(option, InSequence) and isinstance(option.head, Choice):
            pending += [sequence(head, option.tail) for head in option.head.options]
        else:
            found.add(option)
    return found


def _united(options: set[Regular]) -> set[Regular]:
    """Options that differ in counts, as the fewest with the same texts; see ``united``."""
    alike: dict[tuple[tuple[Regular, ...], Regular], dict[Box, Regular]] = {}
    for option in options:
        parts, box, tail = _counters(option)
        alike.setdefault((parts, tail), {})[box] = option
    if len(alike) == len(options):
        return options
    found: set[Regular] = set()
    for (parts, tail), known in alike.items():
        for box in united(known) if len(known) > 1 else known:
            found.add(known.get(box) or _counted(parts, box, tail))
    return found


def _counters(option: Regular) -> tuple[tuple[Regular, ...], Box, Regular]:
    """The first parts of a sequence, how often each may come, and the rest."""
    parts: list[Regular] = []
    box: list[tuple[int, int]] = []
    while len(parts) < MOST_AXES and option is not EPSILON:
        head, option = (
            (option.head, option.tail) if isinstance(option, InSequence) else (option, EPSILON)
        )
        if isinstance(head, Repetition):
            parts.append(head.item)
            box.append((head.least, UNBOUNDED if head.most is None else head.most))
        else:
            parts.append(head)
            box.append((1, 1))
    return tuple(parts), tuple(box), option


def _counted(parts: tuple[Regular, ...], box: Box, tail: Regular) -> Regular:
    counts = [
        repeat(part, least, None if most == UNBOUNDED else most)
        for part, (least, most) in zip(parts, box, strict=True)
    ]
    return sequence(*counts, tail)


def _bounded(found: Regular, source: Regular) -> Regular:
    """What was found behind ``source``; no more options than are written there are too many."""
    size = len(found.options) if isinstance(found, Choice) else 1
    if size > MOST_OPTIONS and size > _written(source):
        raise _too_ambiguous()
    return found


def _too_ambiguous() -> GrammarError:
    return GrammarError(
        f"a pattern is too ambiguous: a text can be read in over {MOST_OPTIONS} ways at once; nest "
        "fewer counts, as in (a{1,9}b?){1,9}, make them smaller, or put something between what "
        "repeats that cannot be read as a part of it"
    )


def _written(term: Regular) -> int:
    """The most options at the beginning of a term that was not read yet."""
    found = 1
    while isinstance(term, InSequence):
        found = max(found, _written(term.head))
        if not term.head.nullable:
            return found
        term = term.tail
    if isinstance(term, Repetition):
        return max(found, _written(term.item))
    if isinstance(term, Choice):
        return max(found, len(term.options), *map(_written, term.options))
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
    if isinstance(item, Repetition) and _leaves_no_gap(item, least, most):
        whole = None if most is None or item.most is None else item.most * most
        return repeat(item.item, item.least * least, whole)
    key = ("repeat", item, least, most)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = Repetition(item, least, most)
    return found


def _leaves_no_gap(item: Repetition, least: int, most: int | None) -> bool:
    """Whether ``(a{2,3}){least,most}`` is ``a`` so many times: what is left of the counts for so
    many items, ``[4,6]`` for two, reaches those for one more. For more items they only get wider.
    """
    if least == most or item.least <= 1:
        return True
    if item.most is None:
        return least > 0
    return item.least * (least + 1) <= item.most * least + 1


ANYTHING: Regular = Repetition(ByteSet(ALL_BYTES), 0, None)
_shared["bytes", ALL_BYTES] = ANYTHING.item  # type: ignore[attr-defined]
_shared["repeat", ANYTHING.item, 0, None] = ANYTHING  # type: ignore[attr-defined]
