"""``response_format``: the forms that it takes, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from webllm_py.api import parse_chat_request, parse_completion_request
from webllm_py.api.formats import parse_response_format
from webllm_py.errors import RequestError
from webllm_py.grammar import Matcher

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PERSON = b'{"name": "Ada", "age": 36}'


def allows(value: Any, text: bytes) -> bool:
    grammar = parse_response_format(value)
    assert grammar is not None
    matcher = Matcher(grammar)
    return matcher.advance(text) and matcher.is_complete


@pytest.mark.parametrize(
    "value",
    [
        {
            "type": "json_schema",
            "json_schema": {"name": "person", "strict": True, "schema": SCHEMA},
        },
        {"type": "json_object", "schema": SCHEMA},
        {"type": "json_object", "schema": json.dumps(SCHEMA)},
    ],
)
def test_schemas(value: Any) -> None:
    assert allows(value, PERSON)
    assert not allows(value, b'{"name": "Ada"}')
    assert not allows(value, b"[1]")


def test_other_forms() -> None:
    assert parse_response_format({"type": "text"}) is None
    assert allows({"type": "json_object"}, b'{"anything": [1, null]}')
    assert not allows({"type": "json_object"}, b"[1]")
    assert allows({"type": "regex", "regex": "a+b"}, b"aab")
    assert not allows({"type": "regex", "regex": "a+b"}, b"b")
    assert allows({"type": "grammar", "grammar": 'root ::= "yes" | "no"'}, b"no")


NUMBER = {"type": "json_schema", "json_schema": {"type": "integer"}}
TAG = {"begin": "<n>", "content": NUMBER, "end": "</n>"}
TAGS = {"type": "triggered_tags", "triggers": ["<n"], "tags": [TAG]}


def tag(format: Any) -> dict[str, Any]:
    return {"type": "structural_tag", "structural_tag": {"format": format}}


def test_structural_tags() -> None:
    old = {
        "triggers": ["<n"],
        "structures": [{"begin": "<n>", "schema": {"type": "integer"}, "end": "</n>"}],
    }
    for value in (
        tag(TAGS),
        {"type": "structural_tag", "format": TAGS},
        {"type": "structural_tag", **old},
        {"type": "structural_tag", "structural_tag": json.dumps({"type": "structural_tag", **old})},
    ):
        assert allows(value, b"One <n>1</n> and <n>2</n>, no more.")
        assert allows(value, b"none")
        assert not allows(value, b"<n>one</n>")
    assert not allows(tag({**TAGS, "at_least_one": True}), b"none")
    assert not allows(tag({**TAGS, "stop_after_first": True}), b"<n>1</n>.")


def test_other_structural_formats() -> None:
    yes = {"type": "const_string", "value": "yes"}
    sequence = {"type": "sequence", "elements": [yes, {"type": "regex", "pattern": "[0-9]"}, TAGS]}
    assert allows(tag(sequence), b"yes5 or <n>3</n>") and not allows(tag(sequence), b"yes")
    either = {"type": "or", "elements": [yes, {"type": "grammar", "grammar": 'root ::= "no"'}]}
    assert allows(tag(either), b"no") and not allows(tag(either), b"yesno")
    thought = {"type": "tag", "begin": "<t>", "content": {"type": "any_text"}, "end": "</t>"}
    after = {"type": "sequence", "elements": [thought, yes]}
    assert allows(tag(after), b"<t>a <b </t>yes") and not allows(tag(after), b"<t>yes")
    listed = {"type": "tags_with_separator", "tags": [TAG], "separator": ","}
    assert allows(tag(listed), b"<n>1</n>,<n>2</n>") and allows(tag(listed), b"")
    assert allows(tag({"type": "any_text"}), b"anything")
    # As XGrammar writes out what it was not given.
    assert allows(tag({"type": "any_text", "excludes": []}), b"anything")
    assert allows(tag({**NUMBER, "style": "json"}), b"7")


@pytest.mark.parametrize(
    ("format", "param"),
    [
        (None, ".format"),
        ({"type": "xml"}, ".format.type"),
        ({"type": "sequence", "elements": [{"type": "any_text"}, NUMBER]}, ".format.elements[0]"),
        ({**TAGS, "tags": []}, ".format.tags"),
        ({**TAGS, "tags": [{**TAG, "end": 1}]}, ".format.tags[0].end"),
        ({**TAGS, "triggers": [""]}, ".format.triggers[0]"),
        ({**TAGS, "at_least_one": "yes"}, ".format.at_least_one"),
        ({"type": "any_text", "excludes": ["a"]}, ".format.excludes"),
        ({**TAGS, "excludes": ["<"]}, ".format.excludes"),
        (
            {**TAG, "type": "tag", "content": {"type": "any_text", "excludes": ["a"]}},
            ".format.content.excludes",
        ),
        ({**TAGS, "tags": [{**TAG, "schema": {}}]}, ".format.tags[0].schema"),
    ],
)
def test_wrong_structural_tags_name_the_place(format: Any, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_response_format(tag(format))
    assert caught.value.param == f"response_format.structural_tag{param}"


@pytest.mark.parametrize(
    ("value", "param", "code"),
    [
        ("json", "response_format", "invalid_type"),
        ({}, "response_format.type", "missing_required_parameter"),
        ({"type": "xml"}, "response_format.type", "invalid_value"),
        ({"type": "json_schema"}, "response_format.json_schema", "missing_required_parameter"),
        (
            {"type": "json_schema", "json_schema": {"name": "x"}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        (NUMBER, "response_format.json_schema", "invalid_value"),
        ({"type": "json_object", "schema": "{"}, "response_format.schema", "invalid_value"),
        ({"type": "text", "schema": {}}, "response_format.schema", "unknown_parameter"),
        (tag({**TAGS, "triggers": ["x"]}), "response_format", "invalid_value"),
        ({"type": "regex", "regex": "("}, "response_format", "invalid_value"),
        ({"type": "grammar", "grammar": "root ::= root"}, "response_format", "invalid_value"),
    ],
)
def test_refused(value: Any, param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_response_format(value)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_a_schema_that_stands_where_its_name_belongs_is_told_its_place() -> None:
    with pytest.raises(RequestError, match="itself, which stands in its field 'schema'"):
        parse_response_format(NUMBER)


def test_a_schema_that_cannot_be_honoured_names_the_keyword() -> None:
    schema = {"properties": {"tags": {"type": "array", "uniqueItems": True}}}
    with pytest.raises(RequestError, match=r"uniqueItems.*#/properties/tags") as caught:
        parse_response_format({"type": "json_object", "schema": schema})
    assert caught.value.code == "unsupported_schema"


def test_in_both_kinds_of_requests() -> None:
    messages = [{"role": "user", "content": "x"}]
    fields: dict[str, Any] = {"response_format": {"type": "json_object"}}
    assert parse_chat_request({"messages": messages, **fields}).grammar is not None
    assert parse_completion_request({"prompt": "x", **fields}).grammar is not None
    assert parse_chat_request({"messages": messages}).grammar is None
    with pytest.raises(RequestError, match="response_format") as caught:
        parse_chat_request({"messages": messages, "ignore_eos": True, **fields})
    assert caught.value.param == "ignore_eos"


def test_a_class_of_pydantic_is_told_to_give_its_schema() -> None:
    class Person:
        model_json_schema = None

    with pytest.raises(RequestError, match=r'"schema": Person\.model_json_schema'):
        parse_response_format(Person)
