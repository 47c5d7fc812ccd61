"""Grammar nodes of JSON arrays and objects, whose frames remember what a stack alone cannot.

An object's properties come in any order, each declared one once; its frame holds which were seen.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from webllm_py.grammar.pushdown import Configuration, Frame, Node, Reference
from webllm_py.grammar.regular import byte_set, sequence
from webllm_py.grammar.term import Regular
from webllm_py.grammar.words import literal

__all__ = ["ArrayNode", "Entry", "ObjectNode", "Punctuation", "Variant"]


class Punctuation:
    """JSON's marks with the white space that may stand around them.

    White space before a mark stands where it is optional, so that text never has two choices.
    """

    def __init__(self, space: Regular):
        self.space = space
        self.open_object = sequence(literal(b"{"), space)
        self.open_array = sequence(literal(b"["), space)
        self.comma = sequence(space, literal(b","), space)
        self.colon = sequence(space, literal(b":"), space)
        self.close_object = sequence(space, literal(b"}"))
        self.close_array = sequence(space, literal(b"]"))
        self.quote = byte_set(1 << ord('"'))


@dataclass(frozen=True)
class Variant:
    """One value that an item or property may have, and the demands that it meets."""

    value: Reference
    meets: int = 0


@dataclass(eq=False)
class ArrayNode(Node):
    """An array: what stands at each place, how many, and demands that some item must meet.

    A frame's state is ``(between, count, met)``: whether an item was just read, how many were
    (no further than it matters), and the demands met.
    """

    marks: Punctuation
    prefix: Sequence[Sequence[Variant]]
    rest: Sequence[Variant]
    least: int
    most: int | None
    demands: int

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        yield self.marks.open_array, parent.push(self, (False, 0, 0))

    def resume(self, frame: Frame) -> Iterator[Configuration | Frame]:
        between, count, met = frame.state
        assert frame.parent is not None
        if between is None:
            yield from self._items(count, met, frame.parent)
            return
        if count >= self.least and met == self.demands:
            closing = self.marks.close_array if between else literal(b"]")
            yield closing, frame.parent
        if self.most is None or count < self.most:
            if between:
                yield self.marks.comma, frame.parent.push(self, (None, count, met))
            else:
                yield from self._items(count, met, frame.parent)

    def _items(self, count: int, met: int, parent: Frame) -> Iterator[Configuration | Frame]:
        bound = max(len(self.prefix), self.least, self.most or 0)
        for variant in self.at(count):
            after = (True, min(count + 1, bound), met | variant.meets)
            yield from variant.value.enter(parent.push(self, after))

    def at(self, place: int) -> Sequence[Variant]:
        return self.prefix[place] if place < len(self.prefix) else self.rest

    def pruned(self, usable: Container[Reference]) -> ArrayNode | None:
        """This array without what can never be finished; None where nothing is left."""
        prefix = [[x for x in place if x.value in usable] for place in self.prefix]
        rest = [x for x in self.rest if x.value in usable]
        most = self.most
        for place, variants in enumerate([*prefix, rest]):
            if not variants and (most is None or most > place):
                most = place
        reachable = 0
        for variants in [*prefix, rest][:most]:
            for variant in variants:
                reachable |= variant.meets
        if (most is not None and self.least > most) or self.demands & ~reachable:
            return None
        return ArrayNode(self.marks, prefix, rest, self.least, most, self.demands)


@dataclass(eq=False)
class Entry:
    """Properties whose key is in one language.

    ``own`` is the bit of a property with one name, which occurs once; 0 for a family of names.
    """

    key: Regular
    variants: list[Variant]
    own: int = 0
    text: Regular = field(init=False)


@dataclass(eq=False)
class ObjectNode(Node):
    """An object: a frame's state is ``(place, seen, count, index)``.

    ``place`` is "open" before the first property, "key" behind a comma, "value" behind a colon
    (then ``index`` is the entry), "end" behind a value; ``seen`` has the bits of what occurred and
    of the demands met; ``count`` is kept only where the number of properties is limited.
    """

    marks: Punctuation
    entries: list[Entry]
    demands: int
    least: int
    most: int | None

    def __post_init__(self) -> None:
        quote = self.marks.quote
        for entry in self.entries:
            entry.text = sequence(quote, entry.key, quote, self.marks.colon)
        self._own = 0
        for entry in self.entries:
            self._own |= entry.own
        self._counted = self.least > 0 or self.most is not None

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        yield self.marks.open_object, parent.push(self, ("open", 0, 0, 0))

    def resume(self, frame: Frame) -> Iterator[Configuration | Frame]:
        place, seen, count, index = frame.state
        parent = frame.parent
        assert parent is not None
        if place == "value":
            yield from self._value(seen, count, index, parent)
            return
        if place != "key" and seen & self.demands == self.demands and count >= self.least:
            yield (self.marks.close_object if place == "end" else literal(b"}")), parent
        following = list(self._following(seen, count))
        if place == "end":
            if following:
                yield self.marks.comma, parent.push(self, ("key", seen, count, 0))
            return
        for chosen in following:
            yield (
                self.entries[chosen].text,
                parent.push(self, ("value", seen, count, chosen)),
            )

    def _value(
        self, seen: int, count: int, index: int, parent: Frame
    ) -> Iterator[Configuration | Frame]:
        entry = self.entries[index]
        behind = count + 1 if self._counted else 0
        if self.most is None:
            behind = min(behind, self.least)
        for variant in self._choices(entry, seen, count):
            now = seen | entry.own | variant.meets
            yield from variant.value.enter(parent.push(self, ("end", now, behind, 0)))

    def _following(self, seen: int, count: int) -> Iterator[int]:
        """The entries that may come next."""
        for index, entry in enumerate(self.entries):
            if not entry.own & seen and self._choices(entry, seen, count):
                yield index

    def _choices(self, entry: Entry, seen: int, count: int) -> list[Variant]:
        """The values of an entry after which the demands that are left can still be met."""
        found = []
        for variant in entry.variants:
            now = seen | entry.own | variant.meets
            missing = (self.demands & ~now).bit_count()
            room = self.most is None or count + 1 + missing <= self.most
            if room and self._can_end(now):
                found.append(variant)
        return found

    def _can_end(self, seen: int) -> bool:
        """Whether the demands that are left can still be met."""
        missing = self.demands & ~seen
        if not missing or not missing & ~self._own:
            return True  # properties with one name, none of which was used up
        for entry in self.entries:
            if not entry.own & seen:
                missing &= ~entry.own
                for variant in entry.variants:
                    missing &= ~variant.meets
        return not missing

    def pruned(self, usable: Container[Reference]) -> ObjectNode | None:
        """This object without what can never be finished; None where nothing is left."""
        entries = []
        for entry in self.entries:
            variants = [variant for variant in entry.variants if variant.value in usable]
            if variants and entry.key.alive():
                entries.append(Entry(entry.key, variants, entry.own))
        node = ObjectNode(self.marks, entries, self.demands, self.least, self.most)
        families = any(not entry.own for entry in entries)
        possible = families or self.least <= len(entries)
        needed = max(self.least, self.demands.bit_count())
        fits = self.most is None or needed <= self.most
        return node if possible and fits and node._can_end(0) else None
