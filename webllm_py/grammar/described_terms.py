"""What is left of terms behind bytes, as records that hold in all frames of the stack."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TypeAlias

from webllm_py.grammar.counted import (
    FEWEST_COUNTED,
    SHORTEST_SPELLED,
    Family,
    Window,
    as_counted,
    family_of,
    forced_in,
)
from webllm_py.grammar.records import (
    FALLS,
    FORCED,
    HERE,
    INSIDE,
    OVER,
    RELATIVE,
    Records,
)
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, lowest, refine

__all__ = ["Spelled", "Spellings", "Terms"]

MOST_ROWS = 250
"""Terms that are described at once; more where they are asked for."""
Spelled: TypeAlias = Callable[[bytes], Sequence[int]]
"""The tokens that are certain where these bytes must come next; none where it does not pay."""


class Spellings:
    """Tokens of texts that leave no choice, each asked for once."""

    def __init__(self, tokens: Sequence[bytes], spelled: Spelled):
        self._tokens = tokens
        self._spell = spelled
        self._known: dict[bytes, Sequence[int]] = {}

    def of(self, forced: bytes) -> Sequence[int]:
        """The tokens that spell these bytes, or nothing."""
        if len(forced) < SHORTEST_SPELLED:
            return ()
        found = self._known.get(forced)
        if found is None:
            found = self._known[forced] = self._spell(forced)
        return found

    def text(self, tokens: Sequence[int]) -> bytes:
        """The bytes of tokens."""
        return b"".join(self._tokens[token] for token in tokens)


class Terms:
    """Numbers of terms, as they are asked for, and their records.

    Args:
        records: where these are put.
    """

    def __init__(self, records: Records, spellings: Spellings):
        self._records = records
        self._at = records.sizes.terms_at
        self._spellings = spellings
        self._terms: list[Regular | Window] = [EMPTY]  # one that is never known
        self._numbers: dict[Regular, int] = {}
        self._families: dict[tuple[Regular, Regular], Family | None] = {}
        self._closures: dict[int, tuple[Sequence[int], bool]] = {}

    def number(self, term: Regular) -> int:
        """A term's number; 0 where there is no room for another."""
        found = self._numbers.get(term, 0)
        if not found:
            found = self._counted(term) or self._new([term])
            if found:
                self._numbers[term] = found
        return found

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return len(self._terms)

    def term(self, number: int) -> Regular:
        """The term that has a number."""
        found = self._terms[number]
        return found.term(number) if isinstance(found, Window) else found

    def _new(self, terms: list[Regular | Window]) -> int:
        """The number of the first of some terms; 0 where there is no room for them."""
        at = len(self._terms)
        if at + len(terms) > self._records.sizes.terms:
            self._records.full = True
            return 0
        self._terms += terms
        return at

    def _counted(self, term: Regular) -> int:
        """The number of a term that counts among others that do; 0 where it does not."""
        found = as_counted(term)
        if found is None:
            return 0
        part, items, tail = found
        key, most = (items.item, tail), items.most or 0
        if key not in self._families:
            self._families[key] = family_of(*key)
        family = self._families[key]
        if family is None:
            return 0
        number = family.find(part, items.least, most)
        if number is None and part is EPSILON and most >= FEWEST_COUNTED:
            return self._new_window(family, items.least, most)
        return number or 0

    def closure(self, number: int) -> tuple[Sequence[int], bool]:
        """Describe a term and what may be left of it: those that leave no choice, and whether any
        may be over."""
        found = self._closures.get(number)
        if found is None:
            seen, pending, forced, ends = {number, 0}, [number], list[int](), False
            for at in pending:
                term = self._terms[at]
                if isinstance(term, Window):
                    forced += self._describe_end(term, at)
                    ends = True
                    continue
                flags, words = self._describe(at, term)
                if flags & FORCED:
                    forced.append(at)
                ends = ends or bool(flags & FALLS) or OVER in words
                for word in words:
                    other = word & ~INSIDE
                    if word & INSIDE and other not in seen and len(seen) < MOST_ROWS:
                        seen.add(other)
                        pending.append(other)
            found = forced, ends
            whole = len(seen) < MOST_ROWS  # then it holds for what is left of the term, too
            self._closures.update(dict.fromkeys(seen if whole else [number], found))
        return found

    def _describe(self, number: int, term: Regular) -> tuple[int, Sequence[int]]:
        """A term's flags, and what is behind its bytes; from now on it has a record."""
        known = self._records.record(self._at + number)
        if known is None:
            classes = term.classes()
            words = [self._word(term.step(lowest(members))) for members in classes]
            flags, spelling = self._spelling(term)
            record = self._records.put_record(flags, classes, words, spelling)
            self._records.set(self._at + number, record)
            known = flags, words
        return known

    def _word(self, term: Regular) -> int:
        """What is left of a term behind a byte, as a word."""
        if term is EMPTY:
            return 0
        return OVER if term is EPSILON else INSIDE | self.number(term)

    def _spelling(self, term: Regular) -> tuple[int, int]:
        """Flags of a term's record, and where the spelling of what must come next is; where that
        goes on behind the term it depends on the frame."""
        if term.nullable:
            return FALLS, 0
        forced, is_whole = forced_in(term)
        if is_whole:
            return FORCED, 0
        tokens = self._spellings.of(forced)
        if not tokens:
            return 0, 0
        for byte in self._spellings.text(tokens):
            term = term.step(byte)
        return 0, self._records.put_spelling(tokens, self._word(term))

    def _new_window(self, family: Family, least: int, most: int) -> int:
        window = Window(family, len(self._terms), least, most)
        if self._new([window] * window.size):
            family.windows.append(window)
            self._describe_window(window)
        return 0 if self._records.full else window.base

    def _describe_window(self, window: Window) -> None:
        """Describe all of its terms, but the one behind all items."""
        parts = [self._put_part(window.family, part) for part in window.family.parts]
        between = [self._put_main(window, 0, least) for least in (0, window.least)]
        index = array("I")
        for read in range(window.length + 1):
            index.append(between[read < window.least] if read < window.length else 0)
            index.extend(parts[1:])
        self._records.fill(self._at + window.base, index)

    def _describe_end(self, window: Window, number: int) -> Sequence[int]:
        """Describe the term behind all items of a window, where it is the tail or asked for; which
        terms leave no choice."""
        family, left = window.family, window.most - window.length
        if not left:
            flags, _ = self._describe(window.last, family.tail)
            return [window.last] if flags & FORCED else ()
        index = self._at + window.last
        if number >= window.last and self._records.record(index) is None:
            least = max(window.least - window.length, 0)
            base = self._new_window(family, least, left)
            if base:
                self._records.set(index, self._put_main(window, base + family.stride, least))
        return ()

    def _put_part(self, family: Family, part: Regular) -> int:
        """The record of what is left of an item, whatever the count."""
        if part is EPSILON:
            return 0
        classes, here = part.classes(), family.parts[part]
        words = []
        for members in classes:
            rest = part.step(lowest(members))
            further = 0 if rest is EMPTY else HERE + family.parts[rest] - here
            words.append(further and INSIDE | RELATIVE | further)
        return self._records.put_record(0, classes, words)

    def _put_main(self, window: Window, base: int, least: int) -> int:
        """The record of a term between two items.

        Args:
            base: the number of what is left with an item more; 0: it is a stride further.
            least: how many more there must be before the tail.
        """
        family = window.family
        first = INSIDE | base if base else INSIDE | RELATIVE | HERE + family.stride
        words = []
        classes = refine([family.item.classes(), family.tail.classes()])
        for members in classes:
            byte = lowest(members)
            rest = family.item.step(byte)
            if rest is not EMPTY:
                words.append(first + family.parts[rest])
            else:
                words.append(0 if least else self._word(family.tail.step(byte)))
        return self._records.put_record(0, classes, words)
