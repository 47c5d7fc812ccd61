"""What each keyword of JSON Schema says, taken apart into claims and facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar.boolean import both, complement
from webllm_py.grammar.schema import numbers
from webllm_py.grammar.schema.documents import Document, child
from webllm_py.grammar.schema.facts import (
    KINDS,
    Alternative,
    Claim,
    Scalar,
    kind_of,
)
from webllm_py.grammar.schema.kinds import FOR_KIND, GROUPS, reader_of
from webllm_py.grammar.schema.readings import (
    IMPOSSIBLE,
    NOTHING_TO_SAY,
    exactly,
    opposite,
    texts,
)

__all__ = ["Keywords"]

FOR_ANY = ("$ref", "type", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if")
METHODS = {
    "$ref": "_ref",
    "type": "_type",
    "enum": "_enum",
    "const": "_const",
    "allOf": "_all_of",
    "anyOf": "_any_of",
    "oneOf": "_one_of",
    "not": "_not",
    "if": "_if",
}
"""What reads each keyword; the others concern one kind of value."""
REFUSED = {
    "unevaluatedItems": "which items were evaluated depends on the whole value",
    "unevaluatedProperties": "which properties were evaluated depends on the whole value",
    "$dynamicRef": "dynamic references are not followed",
    "$recursiveRef": "dynamic references are not followed",
}


class Keywords:
    """The meaning of the claims of one document.

    ``disjoint(a, b, kind)`` tells whether no value of that kind fulfils both claims, as far as it
    can be told at once; it keeps ``oneOf`` small.
    """

    def __init__(self, document: Document, disjoint: Callable[[Claim, Claim, str], bool]):
        self.document = document
        self.disjoint = disjoint
        self.none = document.make(False)

    def alternatives(self, claim: Claim, kind: str) -> list[Alternative]:
        """What the claim says of values of this kind.

        Raises:
            UnsupportedSchemaError: a keyword cannot be honoured.
            GrammarError: a keyword's value is malformed.
        """
        key, keyword, holds = claim
        schema = self.document.at(key)
        if isinstance(schema, bool):
            return NOTHING_TO_SAY if schema is holds else IMPOSSIBLE
        if not isinstance(schema, dict):
            raise GrammarError(f"the schema at {key} must be an object or a boolean")
        if not keyword:
            return self._whole(key, schema, holds, kind)
        named = METHODS.get(keyword)
        read = getattr(self, named) if named else reader_of(keyword, kind)
        try:
            found: list[Alternative] = read(key, keyword, schema, holds, kind)
        except UnsupportedSchemaError:
            raise
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            value = schema.get(keyword)
            raise GrammarError(f"{keyword!r} at {key} has a wrong value: {value!r}") from error
        except GrammarError as error:
            raise UnsupportedSchemaError(str(error), keyword=keyword, path=key) from error
        return found

    def _whole(self, key: str, schema: dict[str, Any], holds: bool, kind: str) -> list[Alternative]:
        if "$ref" in schema and self.document.draft < 2019:
            words = ["$ref"]
        else:
            for word, reason in REFUSED.items():
                if word in schema and schema[word] is not True:
                    raise UnsupportedSchemaError(reason, keyword=word, path=key)
            words = [
                word
                for word in (*FOR_ANY, *FOR_KIND.get(kind, ()))
                if any(name in schema for name in GROUPS.get(word, (word,)))
            ]
        claims = [(key, word, holds) for word in words]
        return [(tuple(claims), ())] if holds else [((claim,), ()) for claim in claims]

    def _ref(self, key: str, _: str, schema: Any, holds: bool, __: str) -> list[Alternative]:
        return [(((self.document.target(key, schema["$ref"]), "", holds),), ())]

    def _type(self, key: str, _: str, schema: Any, holds: bool, kind: str) -> list[Alternative]:
        named = schema["type"]
        names = [named] if isinstance(named, str) else list(named)
        for name in names:
            if name not in (*KINDS, "integer", "any"):
                raise GrammarError(f"{name!r} is no type of JSON")
        if kind in names or "any" in names:
            return NOTHING_TO_SAY if holds else IMPOSSIBLE
        if kind == "number" and "integer" in names:
            return [((), (Scalar(numbers.INTEGER if holds else numbers.FRACTIONAL),))]
        return IMPOSSIBLE if holds else NOTHING_TO_SAY

    def _const(self, key: str, _: str, schema: Any, holds: bool, kind: str) -> list[Alternative]:
        return self._values([schema["const"]], holds, kind)

    def _enum(self, key: str, _: str, schema: Any, holds: bool, kind: str) -> list[Alternative]:
        if not isinstance(schema["enum"], list):
            raise TypeError
        return self._values(schema["enum"], holds, kind)

    def _values(self, values: list[Any], holds: bool, kind: str) -> list[Alternative]:
        values = [value for value in values if kind_of(value) == kind]
        if kind in ("array", "object"):
            claims = tuple((self.document.make(exactly(value)), "", holds) for value in values)
            return [((claim,), ()) for claim in claims] if holds else [(claims, ())]
        if not values:
            return IMPOSSIBLE if holds else NOTHING_TO_SAY
        if holds:
            return [((), (Scalar(texts(values, kind)),))]
        if kind == "number":
            parts = [complement(numbers.equal_to(value)) for value in values]
            return [((), (Scalar(both(*parts), negative=True),))]
        return [((), (Scalar(complement(texts(values, kind)), negative=True),))]

    def _all_of(self, key: str, word: str, schema: Any, holds: bool, _: str) -> list[Alternative]:
        claims = self._listed(key, word, schema, holds)
        return [(claims, ())] if holds else [((claim,), ()) for claim in claims]

    def _any_of(self, key: str, word: str, schema: Any, holds: bool, _: str) -> list[Alternative]:
        claims = self._listed(key, word, schema, holds)
        return [((claim,), ()) for claim in claims] if holds else [(claims, ())]

    def _listed(self, key: str, word: str, schema: Any, holds: bool) -> tuple[Claim, ...]:
        if not isinstance(schema[word], list) or not schema[word]:
            raise TypeError
        base = child(key, word)
        return tuple((f"{base}/{index}", "", holds) for index in range(len(schema[word])))

    def _one_of(
        self, key: str, word: str, schema: Any, holds: bool, kind: str
    ) -> list[Alternative]:
        claims = self._listed(key, word, schema, True)
        possible = [x for x in claims if not self.disjoint(x, x, kind)]
        together = [
            (one, other)
            for index, one in enumerate(possible)
            for other in possible[index + 1 :]
            if not self.disjoint(one, other, kind)
        ]
        if not holds:
            none = tuple(opposite(claim) for claim in possible)
            return [(none, ()), *((pair, ()) for pair in together)]
        found: list[Alternative] = []
        for claim in possible:
            others = [b if a == claim else a for a, b in together if claim in (a, b)]
            found.append(((claim, *(opposite(other) for other in others)), ()))
        return found

    def _not(self, key: str, _: str, __: Any, holds: bool, ___: str) -> list[Alternative]:
        return [(((child(key, "not"), "", not holds),), ())]

    def _if(self, key: str, _: str, schema: Any, holds: bool, __: str) -> list[Alternative]:
        condition = child(key, "if")
        found: list[Alternative] = []
        for word, truth in (("then", True), ("else", False)):
            if word in schema:
                found.append((((condition, "", truth), (child(key, word), "", holds)), ()))
            elif holds:
                found.append((((condition, "", truth),), ()))
        return found
