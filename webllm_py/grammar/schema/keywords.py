"""What each keyword of JSON Schema says, taken apart into claims and facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar.boolean import both, complement
from webllm_py.grammar.schema import numbers, strings
from webllm_py.grammar.schema.documents import Document, child
from webllm_py.grammar.schema.facts import (
    KINDS,
    Alternative,
    Claim,
    Fact,
    Forbidden,
    ItemLimits,
    Items,
    Names,
    Properties,
    PropertyLimits,
    Required,
    Scalar,
    SomeItem,
    SomeProperty,
    kind_of,
)
from webllm_py.grammar.schema.readings import (
    IMPOSSIBLE,
    NOTHING_TO_SAY,
    count,
    exactly,
    of_kind,
    opposite,
    required,
    scalar,
    texts,
)
from webllm_py.grammar.term import Regular

__all__ = ["Keywords"]

FOR_ANY = ("$ref", "type", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if")
FOR_KIND = {
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "array": ("minItems", "maxItems", "items", "contains", "uniqueItems"),
    "object": (
        *("required", "properties", "minProperties", "maxProperties", "propertyNames"),
        *("dependencies", "dependentRequired", "dependentSchemas"),
    ),
}
GROUPS = {
    "items": ("items", "prefixItems", "additionalItems"),
    "properties": ("properties", "patternProperties", "additionalProperties"),
}
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
    "items": "_items",
    "properties": "_properties",
}
"""What reads each keyword; the others are limits of their kind."""
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
        method = getattr(self, METHODS.get(keyword, f"_{kind}_limit"))
        try:
            found: list[Alternative] = method(key, keyword, schema, holds, kind)
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

    def _number_limit(
        self, key: str, word: str, schema: Any, holds: bool, _: str
    ) -> list[Alternative]:
        value = schema[word]
        if isinstance(value, bool) and word.startswith("exclusive"):
            return NOTHING_TO_SAY if holds else IMPOSSIBLE  # draft 4: it is part of minimum
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        if word == "multipleOf":
            language = numbers.multiple_of(value)
        else:
            lower = word.endswith("inimum")
            open_end = (
                word.startswith("exclusive") or schema.get(f"exclusive{word.title()}") is True
            )
            if open_end:
                language = numbers.above(value) if lower else complement(numbers.at_least(value))
            else:
                language = numbers.at_least(value) if lower else complement(numbers.above(value))
        return [((), (scalar(language, holds),))]

    def _string_limit(
        self, key: str, word: str, schema: Any, holds: bool, _: str
    ) -> list[Alternative]:
        value = schema[word]
        language: Regular | None
        if word == "minLength":
            language = strings.length(count(value), None)
            if count(value) == 0:
                return NOTHING_TO_SAY if holds else IMPOSSIBLE
        elif word == "maxLength":
            language = strings.length(0, count(value))
        elif word == "pattern":
            language = strings.matching(value)
        else:
            try:
                language = strings.format_named(value)
            except LookupError:
                raise GrammarError(f"the format {value!r} cannot be enforced") from None
        if language is None:
            return NOTHING_TO_SAY if holds else IMPOSSIBLE
        return [((), (scalar(language, holds),))]

    def _array_limit(
        self, key: str, word: str, schema: Any, holds: bool, _: str
    ) -> list[Alternative]:
        value = schema[word]
        if word == "uniqueItems":
            if value:
                raise GrammarError("items written before cannot be compared")
            return NOTHING_TO_SAY if holds else IMPOSSIBLE
        if word == "contains":
            return self._some_item(key, schema, holds)
        number = count(value)
        if (word == "minItems") == holds:
            return [((), (ItemLimits(number if holds else number + 1, None),))]
        if number == 0 and not holds:
            return IMPOSSIBLE
        return [((), (ItemLimits(0, number if holds else number - 1),))]

    def _some_item(self, key: str, schema: Any, holds: bool) -> list[Alternative]:
        if "maxContains" in schema or schema.get("minContains", 1) not in (0, 1):
            word = "maxContains" if "maxContains" in schema else "minContains"
            raise UnsupportedSchemaError("matching items are not counted", keyword=word, path=key)
        if schema.get("minContains") == 0:
            return NOTHING_TO_SAY if holds else IMPOSSIBLE
        inner = child(key, "contains")
        fact: Fact = SomeItem((inner, "", True)) if holds else Items((), (inner, "", False))
        return [((), (fact,))]

    def _items(self, key: str, _: str, schema: Any, holds: bool, __: str) -> list[Alternative]:
        tuple_word = "items" if isinstance(schema.get("items"), list) else "prefixItems"
        rest_word = "additionalItems" if tuple_word == "items" else "items"
        size = len(of_kind(schema.get(tuple_word, []), list))
        prefix = [(f"{child(key, tuple_word)}/{i}", "", holds) for i in range(size)]
        rest: Claim | None = None
        if rest_word in schema and schema[rest_word] is not True:
            rest = (child(key, rest_word), "", holds)
        if holds:
            return [((), (Items(tuple(prefix), rest),))]
        found: list[Alternative] = [
            ((), (Items((*[None] * i, claim), None), ItemLimits(i + 1, None)))
            for i, claim in enumerate(prefix)
        ]
        if rest and schema[rest_word] is False:
            found.append(((), (ItemLimits(size + 1, None),)))
        elif rest and size == 0:
            found.append(((), (SomeItem(rest),)))
        elif rest:
            raise GrammarError("items behind a tuple cannot be negated")
        return found

    def _properties(self, key: str, _: str, schema: Any, holds: bool, __: str) -> list[Alternative]:
        named = [
            (name, (child(child(key, "properties"), name), "", holds))
            for name in of_kind(schema.get("properties", {}), dict)
        ]
        patterns = []
        for pattern in of_kind(schema.get("patternProperties", {}), dict):
            claim = (child(child(key, "patternProperties"), pattern), "", holds)
            patterns.append((self._family(key, pattern), claim))
        rest: Claim | None = None
        if schema.get("additionalProperties", True) is not True:
            rest = (child(key, "additionalProperties"), "", holds)
        if holds:
            return [((), (Properties(tuple(named), tuple(patterns), rest),))]
        found: list[Alternative] = []
        for name, claim in named:
            found.append(((), (Required((name,)), Properties(((name, claim),), (), None))))
        for names, claim in patterns:
            found.append(((), (SomeProperty(names, claim),)))
        if rest:
            others = [complement(names) for names, _ in patterns]
            if named:
                others.append(complement(strings.one_of(name for name, _ in named)))
            found.append(((), (SomeProperty(both(*others), rest),)))
        return found

    def _family(self, key: str, pattern: str) -> Regular:
        try:
            return strings.matching(pattern)
        except GrammarError as error:
            raise UnsupportedSchemaError(
                str(error), keyword="patternProperties", path=key
            ) from error

    def _object_limit(
        self, key: str, word: str, schema: Any, holds: bool, _: str
    ) -> list[Alternative]:
        value = schema[word]
        if word == "required":
            return required(value, holds)
        if word == "propertyNames":
            claim = (child(key, word), "", holds)
            if holds:
                return [((), (Names(claim),))]
            raise GrammarError("it cannot be negated")
        if word in ("minProperties", "maxProperties"):
            number = count(value)
            if (word == "minProperties") == holds:
                return [((), (PropertyLimits(number if holds else number + 1, None),))]
            if number == 0 and not holds:
                return IMPOSSIBLE
            return [((), (PropertyLimits(0, number if holds else number - 1),))]
        return self._dependent(key, word, value, holds)

    def _dependent(
        self, key: str, word: str, value: dict[str, Any], holds: bool
    ) -> list[Alternative]:
        """Each dependency: the property is absent, or what depends on it holds."""
        found: list[Alternative] = [((), ())] if holds else []
        for name, needed in value.items():
            claims: list[Alternative]
            if isinstance(needed, list):
                claims = required(needed, holds)
            else:
                claims = [(((child(child(key, word), name), "", holds),), ())]
            if not holds:
                found += [(c, (Required((name,)), *f)) for c, f in claims]
                continue
            options: list[Alternative] = [((), (Forbidden(name),)), *claims]
            found = [(a + c, b + f) for a, b in found for c, f in options]
            if len(found) > 256:
                raise GrammarError("too many dependencies at once")
        return found
