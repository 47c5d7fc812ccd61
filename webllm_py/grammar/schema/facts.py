"""What a keyword says about values of one kind, as alternatives of smaller facts.

A claim is ``(key, keyword, holds)``: that the subschema at ``key`` (or one keyword of it) holds, or
does not hold. Facts are what is left once claims are taken apart: languages of scalars, and limits
of arrays and objects. Everything a schema can say about one kind of value is a choice between
lists of facts, and because claims may be negative, ``not`` and ``oneOf`` need nothing of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.grammar.term import Regular

__all__ = [
    "KINDS",
    "Alternative",
    "Claim",
    "Fact",
    "Forbidden",
    "ItemLimits",
    "Items",
    "Names",
    "Properties",
    "PropertyLimits",
    "Required",
    "Scalar",
    "SomeItem",
    "SomeProperty",
    "kind_of",
]

KINDS = ("null", "boolean", "number", "string", "array", "object")

Claim = tuple[str, str, bool]


@dataclass(frozen=True)
class Scalar:
    """The value's text is in a language; for a string, what stands between its quotes."""

    language: Regular
    negative: bool = False


@dataclass(frozen=True)
class Items:
    """Claims on the items at the first places, and on all others."""

    prefix: tuple[Claim | None, ...]
    rest: Claim | None


@dataclass(frozen=True)
class ItemLimits:
    least: int
    most: int | None


@dataclass(frozen=True)
class SomeItem:
    """At least one item fulfils the claim."""

    claim: Claim


@dataclass(frozen=True)
class Properties:
    """Claims on properties by name and by language of the name, and on all others."""

    named: tuple[tuple[str, Claim], ...]
    patterns: tuple[tuple[Regular, Claim], ...]
    rest: Claim | None


@dataclass(frozen=True)
class Required:
    names: tuple[str, ...]


@dataclass(frozen=True)
class Forbidden:
    name: str


@dataclass(frozen=True)
class PropertyLimits:
    least: int
    most: int | None


@dataclass(frozen=True)
class Names:
    """Every property name is a string that fulfils the claim."""

    claim: Claim


@dataclass(frozen=True)
class SomeProperty:
    """At least one property with such a name fulfils the claim (or just exists)."""

    names: Regular
    claim: Claim | None


Fact = (
    Scalar
    | Items
    | ItemLimits
    | SomeItem
    | Properties
    | Required
    | Forbidden
    | PropertyLimits
    | Names
    | SomeProperty
)
Alternative = tuple[tuple[Claim, ...], tuple[Fact, ...]]


def kind_of(value: object) -> str:
    """The kind of a JSON value; integers are numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
