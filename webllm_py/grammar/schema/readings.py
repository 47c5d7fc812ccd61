"""Values of keywords, read as facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webllm_py.grammar.boolean import complement
from webllm_py.grammar.schema import numbers, strings
from webllm_py.grammar.schema.facts import Alternative, Claim, Forbidden, Required, Scalar
from webllm_py.grammar.term import Regular
from webllm_py.grammar.words import literals

__all__ = [
    "IMPOSSIBLE",
    "NOTHING_TO_SAY",
    "count",
    "exactly",
    "of_kind",
    "opposite",
    "required",
    "scalar",
    "texts",
]

NOTHING_TO_SAY: list[Alternative] = [((), ())]
IMPOSSIBLE: list[Alternative] = []


def required(names: Any, holds: bool) -> list[Alternative]:
    if isinstance(names, bool):
        return NOTHING_TO_SAY if holds else IMPOSSIBLE  # draft 3: it belongs to the parent
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError
    if holds:
        return [((), (Required(tuple(names)),))]
    return [((), (Forbidden(name),)) for name in names]


def opposite(claim: Claim) -> Claim:
    return claim[0], claim[1], not claim[2]


def scalar(language: Regular, holds: bool) -> Scalar:
    return Scalar(language) if holds else Scalar(complement(language), negative=True)


def count(value: Any) -> int:
    if isinstance(value, bool) or value != int(value) or value < 0:
        raise TypeError
    return int(value)


def of_kind(value: Any, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """The value; TypeError if it is of another type, which could be walked through as well."""
    if not isinstance(value, kind):
        raise TypeError
    return value


def texts(values: Sequence[Any], kind: str) -> Regular:
    if kind == "string":
        return strings.one_of(values)
    if kind == "number":
        return literals(numbers.number_text(value).encode() for value in values)
    names = {None: b"null", True: b"true", False: b"false"}
    return literals(names[value] for value in values)


def exactly(value: Any) -> dict[str, Any]:
    """A schema that only this value fulfils."""
    if isinstance(value, list):
        return {
            "type": "array",
            "prefixItems": [exactly(item) for item in value],
            "minItems": len(value),
            "maxItems": len(value),
        }
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {name: exactly(item) for name, item in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    return {"const": value}
