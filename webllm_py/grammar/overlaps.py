"""Bytes of which nobody knows whether they go on with a term or come behind it."""

from __future__ import annotations

from webllm_py.grammar.boolean import Both
from webllm_py.grammar.regular import ALL_BYTES, ByteSet, Choice, InSequence, Repetition
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, lowest

__all__ = ["read_when_over"]

TERMS_KEPT, TERMS_LOOKED_AT = 20_000, 200
_known: dict[Regular, int] = {}


def read_when_over(term: Regular) -> int:
    """The bytes that may go on with a term, or with what is left of it somewhere, where it may also
    be over, as 256 bits; more of them where it is hard to tell."""
    found = _known.get(term)
    if found is None:
        if len(_known) > TERMS_KEPT:
            _known.clear()
        found = _known[term] = _looked(term) | (term.first() if term.nullable else 0)
    return found


def _looked(term: Regular) -> int:
    if term is EMPTY or term is EPSILON or isinstance(term, ByteSet):
        return 0
    if isinstance(term, InSequence):
        return _of_sequence(term)
    if isinstance(term, Repetition):
        over, first = read_when_over(term.item), term.item.first()
        return every_byte(term) if over & first else over | first
    if isinstance(term, Choice):
        seen, found = 0, 0
        for option in term.options:
            first = option.first()
            if seen & first:  # two options may be read at once
                return _searched(term)
            seen |= first
            found |= read_when_over(option)
        return found
    if isinstance(term, Both):  # what may be over, and goes on, does so in each of its parts
        found = ALL_BYTES
        for part in term.parts:
            found &= read_when_over(part)
        return found
    return every_byte(term)


def _of_sequence(term: InSequence) -> int:
    chain: list[InSequence] = []
    rest: Regular = term
    while isinstance(rest, InSequence):
        chain.append(rest)
        rest = rest.tail
    found = read_when_over(rest)
    for part in reversed(chain):
        over = read_when_over(part.head)
        if over and over & part.tail.first():  # both may be read at once
            return every_byte(term)
        if part.tail.nullable:
            found |= over
    return found


def _searched(term: Regular) -> int:
    """The same by a look at all that may be left of a term."""
    found, pending, seen = 0, [term], {term}
    for at in pending:
        if at.nullable:
            found |= at.first()
        for members in at.classes():
            rest = at.step(lowest(members))
            if rest not in seen:
                seen.add(rest)
                pending.append(rest)
        if len(seen) > TERMS_LOOKED_AT:
            return every_byte(term)
    return found


def every_byte(term: Regular) -> int:
    """The bytes that a term may have anywhere."""
    if isinstance(term, ByteSet):
        return term.members
    if isinstance(term, Repetition):
        return every_byte(term.item)
    found = 0
    while isinstance(term, InSequence):
        found |= every_byte(term.head)
        term = term.tail
    if found:
        return found | every_byte(term)
    if isinstance(term, Choice):
        for option in term.options:
            found |= every_byte(option)
        return found
    return 0 if term is EMPTY or term is EPSILON else ALL_BYTES
