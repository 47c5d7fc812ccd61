"""JSON Schema keyword by keyword, white space, order, and refusals that name the keyword."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from canonical import canonical

from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar import gbnf, json_grammar, schema_grammar
from webllm_py.grammar.schema.strings import FORMATS

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {"$ref": "#/$defs/node", "$defs": {"node": {
    "type": "object",
    "properties": {"value": {"type": "number"},
                   "children": {"items": {"$ref": "#/$defs/node"}, "type": "array"}},
    "required": ["value", "children"], "additionalProperties": False,
}}}  # fmt: skip
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (PERSON, [{"name": "x"}, {"age": 3, "name": ""}], [{}, {"age": 3}, {"name": "x", "b": 1}, []]),
    (TREE, [{"value": 1.5, "children": [{"value": 0, "children": []}]}], [{"value": 1}]),
    ({"type": ["integer", "null"]}, [3, None, -0.0], [1.5, "3", True]),
    ({"minimum": -1.5, "exclusiveMaximum": 3}, [-1.5, 2.999, "x", 0], [-1.51, 3, 3.0, 1000]),
    ({"type": "integer", "minimum": 10, "maximum": 120}, [10, 99, 120], [9, 121, 1000, -10]),
    ({"type": "number", "multipleOf": 0.25}, [0.5, 3, -1.75], [0.3, 0.125]),
    ({"type": "integer", "multipleOf": 7}, [0, 7, -14, 700], [1, 71]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["é😀", "\n\n\n"], ["a", "abcd"]),
    ({"type": "string", "pattern": "^a+$", "minLength": 3}, ["aaa"], ["aa", "aab"]),
    ({"type": "string", "not": {"pattern": "b"}}, ["aca", ""], ["abc", 3]),
    ({"enum": ["a", 1, None, [1, {"x": "\t"}]]}, ["a", 1, None, [1, {"x": "\t"}]], ["b", [1], {}]),
    ({"const": {"a": [1, "ü"]}}, [{"a": [1, "ü"]}], [{"a": [1]}, {}]),
    ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "minItems": 2},
     [["a", 1], ["a", 1, 2]], [["a"], [1, 1], ["a", "b"]]),
    ({"items": {"type": "integer"}, "maxItems": 2, "type": "array"}, [[], [1, 2]], [[1, 2, 3]]),
    ({"contains": {"const": 5}, "type": "array"}, [[5], [1, 5, 2]], [[], [1, 2]]),
    ({"not": {"items": {"type": "integer"}}, "type": "array"}, [["x"], [1, "x"]], [[], [1]]),
    ({"patternProperties": {"^s_": {"type": "string"}, "_i$": {"type": "integer"}},
      "additionalProperties": False},
     [{"s_a": "x", "b_i": 3}, {}], [{"s_a": 1}, {"c": 1}, {"s_i": "x"}, {"s_i": 1}]),
    ({"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
     [{"a": 1, "b": "x"}, {"ab": "x", "": "y"}], [{"a": "x"}, {"b": 1}]),
    ({"type": "object", "minProperties": 1, "maxProperties": 2}, [{"a": 1}, {"a": 1, "b": 2}],
     [{}, {"a": 1, "b": 2, "c": 3}]),
    ({"propertyNames": {"pattern": "^[a-z]$"}}, [{"a": 1}], [{"ab": 1}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"b": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}],
     [{"a": 1}]),
    ({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 1}},
     [{"a": 1, "b": 2}, {"c": 1}, {}], [{"a": 1}, {"c": 1, "d": 2}]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, [1, 2.5, "text"], [3, 1.5]),
    ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
     [{"a": 1}, {"b": 1, "c": 2}], [{"a": 1, "b": 2}, {}]),
    ({"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"minLength": 2}}}],
      "type": "object", "required": ["a"]}, [{"a": "xy"}], [{"a": "x"}, {"a": 12}, {}]),
    ({"anyOf": [{"type": "string"}, {"type": "object", "required": ["a"]}]}, ["x", {"a": 1}], [{}]),
    ({"not": {"properties": {"a": {"const": 1}}}, "type": "object"}, [{"a": 2}], [{}, {"a": 1}]),
    (True, [1, {"a": [None]}], []),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES)
def test_keywords(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    grammar = schema_grammar(schema)
    assert [x for x in valid if not grammar.matches(canonical(x))] == []
    assert [x for x in invalid if grammar.matches(canonical(x))] == []


LIMITS = [0, 7, 10, 99, 120, 0.05, -0.5, 9.99, -99.9, 100.01, 1e21, 12345.678, -1e9, 1e-7]


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_of_numbers(limit: float) -> None:
    """Decimal numbers around a limit, longer and shorter ones, are told as Python's own tell."""
    draw = random.Random(str(limit))
    exact, texts = Decimal(repr(limit)), set[str]()
    for _ in range(300):
        near = exact + Decimal(draw.choice([0, 0, 1, -1])) / 10 ** draw.randrange(9)
        shortened = format(near, "f")[: draw.randrange(1, 30)].rstrip(".-")
        texts |= {shortened, format(-near, "f"), str(draw.randrange(200)), f"{shortened}7"}
    signs: dict[str, Callable[[Decimal], bool]] = {
        "minimum": lambda value: value >= exact,
        "maximum": lambda value: value <= exact,
        "exclusiveMinimum": lambda value: value > exact,
        "exclusiveMaximum": lambda value: value < exact,
    }
    for keyword, holds in signs.items():
        grammar = schema_grammar({"type": "number", keyword: limit})
        for text in filter(re.compile(r"-?(0|[1-9]\d*)(\.\d+)?").fullmatch, texts):
            assert grammar.matches(text.encode()) is holds(Decimal(text)), (keyword, text)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308},
        {"type": "number", "minimum": 1e308, "maximum": 1.7e308},
        {"type": "integer", "minimum": -(10**1000), "maximum": 10**1000},
    ],
)
def test_limits_of_hundreds_of_digits(schema: dict[str, Any]) -> None:
    """As tools write them that have doubles in mind: such ones took from seconds to minutes."""
    begun = time.perf_counter()
    least, most = (int(Decimal(repr(schema[name]))) for name in ("minimum", "maximum"))
    grammar = schema_grammar(schema)
    assert grammar.matches(str(least).encode()) and grammar.matches(str(most).encode())
    assert not grammar.matches(str(least - 1).encode()) and not grammar.matches(b"%d0" % most)
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        ("date", ["2024-02-29", "2000-02-29", "1999-12-31"],
         ["2023-02-29", "1900-02-29", "0000-01-01"]),
        ("date-time", ["2020-01-01T00:00:00.5Z", "2020-01-01T23:59:59+01:00"],
         ["2020-01-01 00:00:00Z"]),
        ("email", ["joe.bloggs@example.com"], ["joe", "a..b@example.com", "@x"]),
        ("hostname", ["a-b.example.com"], ["-a.com", "a" * 64]),
        ("ipv4", ["127.0.0.1", "255.255.255.255"], ["256.1.1.1", "1.2.3", "01.2.3.4"]),
        ("ipv6", ["::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "fe80::1:2", "1::"],
         ["1:2:3", "1::2::3", "1:2:3:4:5:6:7::8:9", "::1%eth0"]),
        ("uri", ["http://a.b/c?d=e#f", "urn:isbn:1", "http://[::1]:80/"],
         ["//a/b", "a b:c", "http:// x"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]),
        ("duration", ["P1DT2H", "P3W", "PT0S"], ["P", "PT", "P1H"]),
        ("time", ["12:30:00Z"], ["24:00:00Z", "12:30Z"]),
        ("json-pointer", ["", "/a~1b"], ["a", "/~2"]),
        ("uri-reference", ["/a/b", "#x", ""], ["\\a"]),
    ],
)  # fmt: skip
def test_formats(name: str, valid: list[str], invalid: list[str]) -> None:
    grammar = schema_grammar({"type": "string", "format": name})
    assert name in FORMATS
    assert [x for x in valid if not grammar.matches(canonical(x))] == []
    assert [x for x in invalid if grammar.matches(canonical(x))] == []


@pytest.mark.parametrize(
    ("schema", "keyword", "path"),
    [
        ({"properties": {"a": {"uniqueItems": True}}}, "uniqueItems", "#/properties/a"),
        ({"items": {"type": "string", "pattern": "(?=x)"}}, "pattern", "#/items"),
        ({"patternProperties": {"(a)\\1": {}}}, "patternProperties", "#"),
        ({"type": "string", "format": "iri"}, "format", "#"),
        ({"multipleOf": 0.1234567}, "multipleOf", "#"),
        ({"multipleOf": 1e-300}, "multipleOf", "#"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties", "#"),
        ({"contains": {}, "minContains": 2}, "minContains", "#"),
        ({"anyOf": [{"$ref": "other.json"}]}, "$ref", "#/anyOf/0"),
        ({"type": "text"}, "type", "#"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(schema: Any, keyword: str, path: str) -> None:
    with pytest.raises(UnsupportedSchemaError) as caught:
        schema_grammar(schema)
    assert (caught.value.keyword, caught.value.path) == (keyword, path)
    assert repr(keyword) in str(caught.value) and path in str(caught.value)


@pytest.mark.parametrize(
    "schema", [{"minLength": "3"}, {"required": [1]}, {"anyOf": []}, 7, {"enum": 3}]
)
def test_a_malformed_schema_is_refused(schema: Any) -> None:
    with pytest.raises(GrammarError, match=r"wrong value|must be an object"):
        schema_grammar(schema)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "string", "pattern": "^b", "enum": ["a"]},
        {"$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 1}},
         "$ref": "#/$defs/n"},
    ],
)  # fmt: skip
def test_a_schema_without_values_is_refused(schema: Any) -> None:
    with pytest.raises(GrammarError, match="no value satisfies"):
        schema_grammar(schema)


def test_a_property_that_can_never_be_finished_is_not_begun() -> None:
    schema = {"properties": {"dead": False, "live": True}, "additionalProperties": False}
    grammar = schema_grammar({"type": "object", **schema}, space="")
    state = grammar.start()
    for byte in b'{"':
        following = state.step(byte)
        assert following is not None
        state = following
    assert state.first() == 1 << ord("l")


def test_white_space_is_what_the_caller_says() -> None:
    value = {"name": "a", "age": 3}
    indented, usual = json.dumps(value, indent=2), json.dumps(value)
    compact = json.dumps(value, separators=(",", ":"))
    flexible, tight = schema_grammar(PERSON), schema_grammar(PERSON, space="")
    for text in (indented, usual, compact):
        assert flexible.matches(text.encode())
    assert tight.matches(compact.encode()) and not tight.matches(usual.encode())
    assert not flexible.matches(b'{"name":' + b" " * 9 + b'"a"}')


def test_a_declared_property_comes_once_and_not_in_disguise() -> None:
    schema = {"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}}
    grammar = schema_grammar(schema)
    assert not grammar.matches(b'{"a": 1, "a": 2}')
    assert not grammar.matches(b'{"\\u0061": "x"}')


def test_json_object_is_any_object() -> None:
    grammar = json_grammar()
    assert grammar.matches(b'{"a": [1e5, "\\ud83d\\ude00\\u00e9\\/", {"b": null}]}')
    assert not grammar.matches(b"[1]")
    assert not grammar.matches(b'{"a": "\\ud83d"}')
    assert not grammar.matches(b'{"a": 01}')
    assert not grammar.matches('{"a": "é"}'.encode("latin-1"))


def test_nesting_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"items": schema}
    with pytest.raises(GrammarError, match="nested too deeply"):
        schema_grammar(schema)
    with pytest.raises(GrammarError, match="nested too deeply"):
        schema_grammar({"type": "string", "pattern": "(" * 5000 + ")" * 5000})
    with pytest.raises(GrammarError, match="nested too deeply"):
        gbnf("root ::= " + "(" * 5000 + '"a"' + ")" * 5000)


def test_deep_values_are_read() -> None:
    assert schema_grammar(True).matches(b"[" * 5000 + b"]" * 5000)
