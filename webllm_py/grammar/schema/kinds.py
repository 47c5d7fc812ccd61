"""What keywords say that concern values of one kind: numbers, strings, arrays or objects.

Each function takes the schema's place, the keyword, the schema, whether it holds, and the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar.boolean import both, complement
from webllm_py.grammar.schema import numbers, strings
from webllm_py.grammar.schema.documents import child
from webllm_py.grammar.schema.facts import (
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
    SomeItem,
    SomeProperty,
)
from webllm_py.grammar.schema.readings import (
    IMPOSSIBLE,
    NOTHING_TO_SAY,
    count,
    of_kind,
    required,
    scalar,
)
from webllm_py.grammar.term import Regular

__all__ = ["FOR_KIND", "GROUPS", "reader_of"]

Reader: TypeAlias = Callable[[str, str, Any, bool, str], list[Alternative]]

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
"""Keywords that are read together, by the first of them."""


def reader_of(keyword: str, kind: str) -> Reader:
    """What reads one of ``FOR_KIND``."""
    return APPLIED.get(keyword) or LIMITS[kind]


def number_limit(key: str, word: str, schema: Any, holds: bool, _: str) -> list[Alternative]:
    """Bounds of a number, and what it is a multiple of."""
    value = schema[word]
    if isinstance(value, bool) and word.startswith("exclusive"):
        return NOTHING_TO_SAY if holds else IMPOSSIBLE  # draft 4: it is part of minimum
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if word == "multipleOf":
        language = numbers.multiple_of(value)
    else:
        lower = word.endswith("inimum")
        open_end = word.startswith("exclusive") or schema.get(f"exclusive{word.title()}") is True
        if open_end:
            language = numbers.above(value) if lower else complement(numbers.at_least(value))
        else:
            language = numbers.at_least(value) if lower else complement(numbers.above(value))
    return [((), (scalar(language, holds),))]


def string_limit(key: str, word: str, schema: Any, holds: bool, _: str) -> list[Alternative]:
    """The length of a string, its pattern and its format."""
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


def array_limit(key: str, word: str, schema: Any, holds: bool, _: str) -> list[Alternative]:
    """The length of an array, and that some item is what it must be."""
    value = schema[word]
    if word == "uniqueItems":
        if value:
            raise GrammarError("items written before cannot be compared")
        return NOTHING_TO_SAY if holds else IMPOSSIBLE
    if word == "contains":
        return some_item(key, schema, holds)
    number = count(value)
    if (word == "minItems") == holds:
        return [((), (ItemLimits(number if holds else number + 1, None),))]
    if number == 0 and not holds:
        return IMPOSSIBLE
    return [((), (ItemLimits(0, number if holds else number - 1),))]


def some_item(key: str, schema: Any, holds: bool) -> list[Alternative]:
    """``contains``."""
    if "maxContains" in schema or schema.get("minContains", 1) not in (0, 1):
        word = "maxContains" if "maxContains" in schema else "minContains"
        raise UnsupportedSchemaError("matching items are not counted", keyword=word, path=key)
    if schema.get("minContains") == 0:
        return NOTHING_TO_SAY if holds else IMPOSSIBLE
    inner = child(key, "contains")
    fact: Fact = SomeItem((inner, "", True)) if holds else Items((), (inner, "", False))
    return [((), (fact,))]


def items(key: str, _: str, schema: Any, holds: bool, __: str) -> list[Alternative]:
    """What the items of an array are: the first ones each, and the others."""
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


def properties(key: str, _: str, schema: Any, holds: bool, __: str) -> list[Alternative]:
    """What an object's properties are: by name, by pattern, and the others."""
    named = [
        (name, (child(child(key, "properties"), name), "", holds))
        for name in of_kind(schema.get("properties", {}), dict)
    ]
    patterns = []
    for pattern in of_kind(schema.get("patternProperties", {}), dict):
        claim = (child(child(key, "patternProperties"), pattern), "", holds)
        patterns.append((family(key, pattern), claim))
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


def family(key: str, pattern: str) -> Regular:
    """The names that a pattern fits."""
    try:
        return strings.matching(pattern)
    except GrammarError as error:
        raise UnsupportedSchemaError(str(error), keyword="patternProperties", path=key) from error


def object_limit(key: str, word: str, schema: Any, holds: bool, _: str) -> list[Alternative]:
    """How many properties there are, which must be there, and what their names are."""
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
    return dependent(key, word, value, holds)


def dependent(key: str, word: str, value: dict[str, Any], holds: bool) -> list[Alternative]:
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


APPLIED: Mapping[str, Reader] = {"items": items, "properties": properties}
LIMITS: Mapping[str, Reader] = {
    "number": number_limit,
    "string": string_limit,
    "array": array_limit,
    "object": object_limit,
}
