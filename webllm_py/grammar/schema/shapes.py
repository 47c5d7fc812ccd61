"""The facts about one array or one object, put together into a grammar node."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from webllm_py.errors import GrammarError
from webllm_py.grammar.boolean import both, complement
from webllm_py.grammar.characters import json_text
from webllm_py.grammar.pushdown import Reference
from webllm_py.grammar.schema.facts import (
    Claim,
    Fact,
    Forbidden,
    ItemLimits,
    Items,
    Names,
    Properties,
    PropertyLimits,
    Required,
    SomeItem,
    SomeProperty,
)
from webllm_py.grammar.schema.strings import ANY_TEXT, one_of
from webllm_py.grammar.schema.structures import ArrayNode, Entry, ObjectNode, Punctuation, Variant
from webllm_py.grammar.term import Regular
from webllm_py.grammar.words import literal

__all__ = ["ArrayShape", "ObjectShape"]

Goal = frozenset[Claim]
Rule = Callable[[Goal], Reference]
FAMILIES_LIMIT = 64
"""Families of property names, told apart by which patterns they match, before a refusal."""


class ArrayShape:
    """One array: the claims on each place, how many items, and what some item must fulfil."""

    def __init__(self, facts: Iterable[Fact]):
        self.items: list[Items] = []
        self.some: list[Claim] = []
        self.least = 0
        self.most: int | None = None
        for fact in facts:
            match fact:
                case Items():
                    self.items.append(fact)
                case SomeItem() if fact.claim not in self.some:
                    self.some.append(fact.claim)
                case ItemLimits():
                    self.least, self.most = _narrowed(self.least, self.most, fact.least, fact.most)

    def at(self, place: int) -> Goal:
        claims = (x.prefix[place] if place < len(x.prefix) else x.rest for x in self.items)
        return frozenset(claim for claim in claims if claim)

    def node(self, marks: Punctuation, rule: Rule) -> ArrayNode:
        size = max((len(items.prefix) for items in self.items), default=0)
        places = [self._variants(self.at(place), rule) for place in range(size + 1)]
        demands = (1 << len(self.some)) - 1
        return ArrayNode(marks, places[:-1], places[-1], self.least, self.most, demands)

    def _variants(self, goal: Goal, rule: Rule) -> list[Variant]:
        return _variants(goal, [(claim, 1 << i) for i, claim in enumerate(self.some)], rule)

    def needed(self) -> tuple[list[Goal], bool]:
        """The goals that every such array fulfils, and whether there is surely no such array."""
        least = max(self.least, 1 if self.some else 0)
        impossible = self.most is not None and least > self.most
        return [self.at(place) for place in range(min(least, 16))], impossible


class ObjectShape:
    """One object: properties with one name, and families of all others.

    ``names`` gives the texts that fulfil a claim.
    """

    def __init__(self, facts: Iterable[Fact], names: Callable[[Claim], Regular]):
        self.properties: list[Properties] = []
        self.some: list[SomeProperty] = []
        self.required: dict[str, None] = {}
        self.forbidden: set[str] = set()
        self.keys: list[Regular] = []
        self.least = 0
        self.most: int | None = None
        for fact in facts:
            match fact:
                case Properties():
                    self.properties.append(fact)
                case SomeProperty() if fact not in self.some:
                    self.some.append(fact)
                case Required():
                    self.required.update(dict.fromkeys(fact.names))
                case Forbidden():
                    self.forbidden.add(fact.name)
                case Names():
                    self.keys.append(names(fact.claim))
                case PropertyLimits():
                    self.least, self.most = _narrowed(self.least, self.most, fact.least, fact.most)

    def named(self) -> list[str]:
        """The names that facts mention, in the order of the schema."""
        found: dict[str, None] = {}
        for properties in self.properties:
            found.update(dict.fromkeys(name for name, _ in properties.named))
        found.update(self.required)
        return list(found)

    def goal(self, name: str) -> Goal:
        """What the property of this name must fulfil."""
        claims: set[Claim] = set()
        for properties in self.properties:
            own = [claim for other, claim in properties.named if other == name]
            own += [claim for names, claim in properties.patterns if _reads(names, name)]
            if not own and properties.rest:
                own = [properties.rest]
            claims.update(own)
        return frozenset(claims)

    def needed(self) -> tuple[list[Goal], bool]:
        """The goals that every such object fulfils, and whether there is surely no such object."""
        impossible = (
            any(not self._allows(name) for name in self.required)
            or (self.most is not None and self.least > self.most)
            or (self.most is not None and len(self.required) > self.most)
        )
        return [self.goal(name) for name in self.required], impossible

    def _allows(self, name: str) -> bool:
        return name not in self.forbidden and all(_reads(keys, name) for keys in self.keys)

    def node(self, marks: Punctuation, rule: Rule) -> ObjectNode:
        names = self.named()
        own = {name: 1 << index for index, name in enumerate(names)}
        demands = 0
        for name in self.required:
            demands |= own[name]
        some = [(fact, 1 << (len(names) + index)) for index, fact in enumerate(self.some)]
        for _, bit in some:
            demands |= bit
        entries = []
        for name in names:
            if self._allows(name):
                extra = [(x.claim, bit) for x, bit in some if _reads(x.names, name)]
                variants = _variants(self.goal(name), extra, rule)
                entries.append(Entry(literal(json_text(name)), variants, own[name]))
        for language, goal, matched in self._families([*names, *self.forbidden]):
            extra = [(x.claim, bit) for x, bit in some if x.names in matched]
            entries.append(Entry(language, _variants(goal, extra, rule)))
        return ObjectNode(marks, entries, demands, self.least, self.most)

    def _families(self, names: list[str]) -> list[tuple[Regular, Goal, set[Regular]]]:
        """All other names, split by the patterns that they match."""
        rest = both(ANY_TEXT, *self.keys)
        if names:
            rest = both(rest, complement(one_of(names)))
        patterns = dict.fromkeys(p for x in self.properties for p, _ in x.patterns)
        patterns.update(dict.fromkeys(fact.names for fact in self.some))
        families: list[tuple[Regular, set[Regular]]] = [(rest, set())]
        for pattern in patterns:
            split = []
            for language, matched in families:
                split.append((both(language, pattern), matched | {pattern}))
                split.append((both(language, complement(pattern)), matched))
            families = [(language, matched) for language, matched in split if language.alive()]
            if len(families) > FAMILIES_LIMIT:
                raise GrammarError("too many patternProperties overlap")
        return [(language, self._family_goal(matched), matched) for language, matched in families]

    def _family_goal(self, matched: set[Regular]) -> Goal:
        claims: set[Claim] = set()
        for properties in self.properties:
            own = [claim for names, claim in properties.patterns if names in matched]
            if not own and properties.rest:
                own = [properties.rest]
            claims.update(own)
        return frozenset(claims)


def _variants(goal: Goal, demands: list[tuple[Claim | None, int]], rule: Rule) -> list[Variant]:
    """The value as it is, and the value with each set of demands fulfilled as well."""
    variants: list[tuple[Goal, int]] = [(goal, 0)]
    for claim, bit in demands:
        more = {claim} if claim else set()
        variants += [(inner | more, met | bit) for inner, met in variants]
    return [Variant(rule(inner), met) for inner, met in variants]


def _narrowed(
    least: int, most: int | None, other_least: int, other_most: int | None
) -> tuple[int, int | None]:
    limits = [limit for limit in (most, other_most) if limit is not None]
    return max(least, other_least), min(limits, default=None)


def _reads(language: Regular, name: str) -> bool:
    for byte in json_text(name):
        language = language.step(byte)
    return language.nullable
