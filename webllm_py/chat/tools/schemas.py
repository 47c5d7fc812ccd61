"""The arguments of functions as grammars, from their JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from webllm_py.chat.tools.xml_text import is_text
from webllm_py.errors import GrammarError, RequestError, UnsupportedSchemaError
from webllm_py.grammar import schema_grammar
from webllm_py.grammar.compose import NOTHING, any_of, in_order
from webllm_py.grammar.free import free_text
from webllm_py.grammar.pushdown import Node
from webllm_py.grammar.regex import regex
from webllm_py.grammar.words import literal, literals

__all__ = ["Function", "arguments_node"]

KEPT = 64  # compiled schemas
SPACE = regex(r"[ \t\r\n]{0,2}")
# What a schema may say besides where arguments are written one by one.
ANNOTATIONS = {"$schema", "$defs", "definitions", "title", "description", "examples", "default"}
TEXT_KEYWORDS = {"type", "title", "description", "default", "examples"}


@dataclass(frozen=True)
class Function:
    """A function that may be called.

    Attributes:
        schema: of its arguments.
        binding: whether a schema that cannot be honoured is an error; else any arguments will do.
    """

    name: str
    schema: Mapping[str, Any]
    binding: bool = True


def arguments_node(function: Function, form: str) -> Node:
    """The arguments that a function takes, in the form that a ``Syntax`` has them.

    Raises:
        RequestError: the schema is binding, and cannot be honoured (the message names the keyword
            and where it stands), is malformed, or no arguments fulfil it.
    """
    schema = closed(function.schema)
    try:
        return _compiled(json.dumps(schema), form)
    except GrammarError as error:
        if function.binding:
            raise RequestError(
                f"'tools' cannot be kept to: the parameters of {function.name!r}: {error}",
                param="tools",
                code="unsupported_schema",
            ) from error
        loose = {"type": "object"} if form == "json" else loosened(schema)
        return _compiled(json.dumps(loose), form)


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object, without arguments that it does not name: a function that is called
    with those would fail, and a model that may make some up does."""
    known = {"type": "object", **schema}
    openers = {"additionalProperties", "unevaluatedProperties", "patternProperties", "$ref"}
    if openers.isdisjoint(known) and not {"allOf", "anyOf", "oneOf", "if"} & set(known):
        known["additionalProperties"] = False
    return known


def loosened(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the arguments, with any values."""
    properties = schema.get("properties")
    names = [*properties] if isinstance(properties, Mapping) else []
    return {"type": "object", "properties": {name: {} for name in names}}


@lru_cache(KEPT)
def _compiled(schema: str, form: str) -> Node:
    if form == "json":
        return schema_grammar(json.loads(schema)).root
    write = _keyword if form == "python" else _element
    separator = in_order(b",", SPACE) if form == "python" else NOTHING
    return _one_by_one(json.loads(schema), write, separator)


def _one_by_one(
    schema: Mapping[str, Any], write: Callable[[str, Any, Any], Node], separator: Node
) -> Node:
    """Arguments in the order in which they are declared, those that are not required if wanted."""
    for keyword in schema:
        if keyword not in {*ANNOTATIONS, "type", "properties", "required", "additionalProperties"}:
            raise UnsupportedSchemaError(
                "cannot be kept to in this model's form of calls", keyword=keyword, path="#"
            )
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    if any(name not in properties for name in required):
        raise GrammarError("a required argument is not among the properties")
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    first: Node = NOTHING
    later: Node = NOTHING
    for name, inner in reversed([*properties.items()]):
        item = write(name, inner, shared)
        with_it = in_order(item, later)
        behind = in_order(separator, item, later)
        if name in required:
            first, later = with_it, behind
        else:
            first, later = any_of(with_it, first), any_of(behind, later)
    return first


def _keyword(name: str, schema: Any, shared: Mapping[str, Any]) -> Node:
    return in_order(name.encode(), b"=", _value(schema, shared))


def _element(name: str, schema: Any, shared: Mapping[str, Any]) -> Node:
    begin, end = f"<parameter={name}>\n".encode(), b"\n</parameter>"
    if not is_text(schema):
        return in_order(begin, _value(schema, shared), end, SPACE)
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        values = literals(value.encode() for value in schema["enum"])
        return in_order(begin, values, end, SPACE)
    for keyword in schema:
        if keyword not in TEXT_KEYWORDS:
            raise UnsupportedSchemaError(
                "cannot be kept to in text without quotes",
                keyword=keyword,
                path=f"#/properties/{name}",
            )
    return in_order(begin, free_text(literal(end), ends=False), SPACE)


def _value(schema: Any, shared: Mapping[str, Any]) -> Node:
    inner = {**shared, **schema} if isinstance(schema, Mapping) else schema
    return schema_grammar(inner).root
