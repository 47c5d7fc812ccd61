"""``response_format``: which texts an answer may be, as a grammar."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from webllm_py.api.checks import boolean, fail, json_object, mapping, one_of, refuse_unknown, text
from webllm_py.api.structural_tag import structural_grammar
from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar import Grammar, gbnf, json_grammar, regex_grammar, schema_grammar

__all__ = ["parse_grammar", "parse_response_format"]

NAME = "response_format"
KEPT = 32  # compiled grammars
_OF_SCHEMAS = {"type", "properties", "enum", "anyOf", "$ref", "$defs"}


def parse_response_format(value: Any) -> Grammar | None:
    """The grammar that a request asks for; None for any text.

    OpenAI's ``{"type": "text" | "json_object"}`` and ``{"type": "json_schema", "json_schema":
    {"name", "schema", "strict", "description"}}``; WebLLM's ``schema`` (an object, or its JSON)
    beside "json_object" and ``{"type": "grammar", "grammar": GBNF}``; ``{"type": "regex", "regex":
    pattern}``; ``{"type": "structural_tag", ...}`` as WebLLM, XGrammar and vLLM have it. A schema
    is always kept to, ``strict`` or not.

    Raises:
        RequestError: a form that is none of these, or a grammar that cannot be honoured; of a
            schema it names the keyword and where it stands.
    """
    if isinstance(value, type) and hasattr(value, "model_json_schema"):  # a model of pydantic
        schema = f'{{"name": "{value.__name__}", "schema": {value.__name__}.model_json_schema()}}'
        fail(NAME, f'takes a model\'s schema: {{"type": "json_schema", "json_schema": {schema}}}')
    given = mapping(value, NAME)
    kind = one_of(given.pop("type", None), f"{NAME}.type", [*_KINDS])
    fields, read = _KINDS[kind]
    refuse_unknown(given, fields, NAME)
    try:
        return read(given)
    except UnsupportedSchemaError as error:
        fail(NAME, f"cannot be honoured: {error}", code="unsupported_schema")
    except GrammarError as error:
        fail(NAME, f"cannot be used: {error}")


def parse_grammar(value: Any) -> Grammar:
    """llama.cpp's field ``grammar``: GBNF.

    Raises:
        RequestError: it cannot be used.
    """
    try:
        return _compiled_gbnf(text(value, "grammar", empty=False))
    except GrammarError as error:
        fail("grammar", f"cannot be used: {error}")


def _text(given: Mapping[str, Any]) -> None:
    return None


def _json(given: Mapping[str, Any]) -> Grammar:
    schema = given.get("schema")
    if schema is None:
        return _any_json()
    if isinstance(schema, str):
        try:
            schema = json.loads(text(schema, f"{NAME}.schema"))
        except ValueError as error:
            fail(f"{NAME}.schema", f"is not valid JSON: {error}.")
    return _schema(schema, f"{NAME}.schema")


def _json_schema(given: Mapping[str, Any]) -> Grammar:
    param = f"{NAME}.json_schema"
    inner = mapping(_needed(given, "json_schema", NAME), param)
    if "schema" not in inner and inner.keys() & _OF_SCHEMAS:
        form = '{"name": ..., "schema": {...}}'
        fail(param, f"is a schema itself, which stands in its field 'schema': {form}.")
    refuse_unknown(inner, ["name", "description", "schema", "strict"], param)
    for name in ("name", "description"):
        if inner.get(name) is not None:
            text(inner[name], f"{param}.{name}")
    if inner.get("strict") is not None:
        boolean(inner["strict"], f"{param}.strict")
    return _schema(_needed(inner, "schema", param), f"{param}.schema")


def _schema(schema: Any, param: str) -> Grammar:
    if not isinstance(schema, bool):
        schema = json_object(schema, param)
    return _compiled_schema(json.dumps(schema))


def _gbnf(given: Mapping[str, Any]) -> Grammar:
    return _compiled_gbnf(text(_needed(given, "grammar", NAME), f"{NAME}.grammar", empty=False))


def _regex(given: Mapping[str, Any]) -> Grammar:
    return _compiled_regex(text(_needed(given, "regex", NAME), f"{NAME}.regex", empty=False))


def _structural_tag(given: Mapping[str, Any]) -> Grammar:
    """WebLLM has the tag inside of ``structural_tag``, as an object or its JSON; vLLM beside."""
    inner, param = dict(given), NAME
    if given.get("structural_tag") is not None:
        param = f"{NAME}.structural_tag"
        inner = _object(given["structural_tag"], param)
        inner.pop("type", None)
    refuse_unknown(inner, ["format", "structures", "triggers"], param)
    return _compiled_tag(json.dumps(json_object(inner, param)), param)


def _object(value: Any, param: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(text(value, param))
        except ValueError as error:
            fail(param, f"is not valid JSON: {error}.")
    return mapping(value, param)


def _needed(given: Mapping[str, Any], name: str, param: str) -> Any:
    if given.get(name) is None:
        fail(f"{param}.{name}", "is missing.", code="missing_required_parameter")
    return given[name]


_any_json = lru_cache(1)(json_grammar)
_compiled_schema = lru_cache(KEPT)(lambda schema: schema_grammar(json.loads(schema)))
_compiled_gbnf = lru_cache(KEPT)(gbnf)
_compiled_regex = lru_cache(KEPT)(regex_grammar)
_compiled_tag = lru_cache(KEPT)(lambda tag, param: structural_grammar(json.loads(tag), param))

_KINDS: Mapping[str, tuple[list[str], Callable[[Mapping[str, Any]], Grammar | None]]] = {
    "text": ([], _text),
    "json_object": (["schema"], _json),
    "json_schema": (["json_schema"], _json_schema),
    "grammar": (["grammar"], _gbnf),
    "regex": (["regex"], _regex),
    "structural_tag": (["structural_tag", "format", "structures", "triggers"], _structural_tag),
}
