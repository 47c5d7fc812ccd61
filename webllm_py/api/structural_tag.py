"""``response_format`` "structural_tag": free text with parts in it that are what they must be.

WebLLM's and XGrammar's forms: ``{"format": {...}}`` of nested formats, and the older
``{"structures": [{"begin", "schema", "end"}], "triggers": [...]}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webllm_py.api.checks import (
    boolean,
    fail,
    items,
    json_object,
    mapping,
    one_of,
    refuse_unknown,
    text,
)
from webllm_py.grammar import gbnf, regex_grammar, schema_grammar
from webllm_py.grammar.compose import (
    NOTHING,
    Tag,
    any_of,
    in_free_text,
    in_order,
    one_or_more,
)
from webllm_py.grammar.free import FreeText, free_text
from webllm_py.grammar.pushdown import Grammar, Node
from webllm_py.grammar.term import EMPTY
from webllm_py.grammar.words import literal

__all__ = ["structural_grammar"]

Json = Mapping[str, Any]


def structural_grammar(given: Json, param: str) -> Grammar:
    """The texts that a structural tag describes.

    Raises:
        RequestError: a part that is missing or unknown; its ``param`` names the place.
        GrammarError: a schema, pattern or grammar in it cannot be used.
    """
    if "structures" in given:
        tags = [
            {
                "begin": structure.get("begin"),
                "content": {"type": "json_schema", "json_schema": structure.get("schema")},
                "end": structure.get("end"),
            }
            for structure in _objects(given, "structures", param)
        ]
        return Grammar(_triggered({"tags": tags, "triggers": given.get("triggers")}, param))
    return Grammar(_format(given.get("format"), f"{param}.format"))


def _format(value: Any, param: str) -> Node:
    given = mapping(value, param)
    fields, read = _FORMATS[one_of(given.get("type"), f"{param}.type", _FORMATS)]
    neutral = [name for name, nothing in _ASKS_FOR_NOTHING.items() if given.get(name) == nothing]
    refuse_unknown(given, ["type", *fields, *neutral], param)
    return read(given, param)


def _constant(given: Json, param: str) -> Node:
    return in_order(text(given.get("value"), f"{param}.value").encode())


def _any_text(given: Json, param: str) -> Node:
    return free_text(EMPTY)


def _schema(given: Json, param: str) -> Node:
    schema = given.get("json_schema")
    if not isinstance(schema, bool):
        schema = json_object(schema, f"{param}.json_schema")
    return schema_grammar(schema).root


def _regex(given: Json, param: str) -> Node:
    return regex_grammar(text(given.get("pattern"), f"{param}.pattern")).root


def _gbnf(given: Json, param: str) -> Node:
    return gbnf(text(given.get("grammar"), f"{param}.grammar")).root


def _sequence(given: Json, param: str) -> Node:
    elements = items(given.get("elements"), f"{param}.elements")
    nodes = [_format(element, f"{param}.elements[{i}]") for i, element in enumerate(elements)]
    for i, node in enumerate(nodes[:-1]):
        if isinstance(node, FreeText) and node.language.ends:
            fail(f"{param}.elements[{i}]", "is any text, which nothing can follow; use a tag.")
    return in_order(*nodes)


def _or(given: Json, param: str) -> Node:
    elements = items(given.get("elements"), f"{param}.elements")
    if not elements:
        fail(f"{param}.elements", "must hold at least one.")
    return any_of(
        *(_format(element, f"{param}.elements[{i}]") for i, element in enumerate(elements))
    )


def _tag(given: Json, param: str) -> Tag:
    refuse_unknown(given, ["type", "begin", "content", "end"], param)
    begin = text(given.get("begin"), f"{param}.begin").encode()
    end = text(given.get("end"), f"{param}.end").encode()
    content = _format(given.get("content"), f"{param}.content")
    if given["content"]["type"] == "any_text" and end:  # text until the end comes
        return Tag(begin, free_text(literal(end), ends=False), b"")
    return Tag(begin, content, end)


def _whole_tag(given: Json, param: str) -> Node:
    tag = _tag(given, param)
    return in_order(tag.begin, tag.content, tag.end)


def _triggered(given: Json, param: str) -> Node:
    triggers = items(given.get("triggers"), f"{param}.triggers")
    return in_free_text(
        _tags(given, param),
        [text(t, f"{param}.triggers[{i}]", empty=False).encode() for i, t in enumerate(triggers)],
        at_least_one=_switch(given, "at_least_one", param),
        stop_after_first=_switch(given, "stop_after_first", param),
    )


def _separated(given: Json, param: str) -> Node:
    separator = text(given.get("separator"), f"{param}.separator").encode()
    tag = any_of(*(in_order(t.begin, t.content, t.end) for t in _tags(given, param)))
    most = 1 if _switch(given, "stop_after_first", param) else None
    found = one_or_more(tag, separator, most=most)
    return found if _switch(given, "at_least_one", param) else any_of(NOTHING, found)


def _tags(given: Json, param: str) -> list[Tag]:
    tags = [_tag(tag, f"{param}.tags[{i}]") for i, tag in enumerate(_objects(given, "tags", param))]
    if not tags:
        fail(f"{param}.tags", "must hold at least one tag.")
    return tags


def _objects(given: Json, name: str, param: str) -> list[dict[str, Any]]:
    path = f"{param}.{name}"
    return [mapping(item, f"{path}[{i}]") for i, item in enumerate(items(given.get(name), path))]


def _switch(given: Json, name: str, param: str) -> bool:
    return boolean(given.get(name, False), f"{param}.{name}")


_OF_TAGS = ("tags", "at_least_one", "stop_after_first")
_FORMATS: Mapping[str, tuple[tuple[str, ...], Callable[[Json, str], Node]]] = {
    "const_string": (("value",), _constant),
    "any_text": ((), _any_text),
    "json_schema": (("json_schema",), _schema),
    "regex": (("pattern",), _regex),
    "grammar": (("grammar",), _gbnf),
    "sequence": (("elements",), _sequence),
    "or": (("elements",), _or),
    "tag": (("begin", "content", "end"), _whole_tag),
    "triggered_tags": (("triggers", *_OF_TAGS), _triggered),
    "tags_with_separator": (("separator", *_OF_TAGS), _separated),
}
# XGrammar writes these, which are not done here, also where they say nothing.
_ASKS_FOR_NOTHING: Json = {"excludes": [], "style": "json"}
