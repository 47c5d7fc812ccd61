"""How requests ask for adapters."""

from __future__ import annotations

from typing import Any

import pytest

from webllm_py import RequestError
from webllm_py.api import AdapterChoice, parse_chat_request, parse_completion_request

HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"adapters": None}, None),
        ({"adapters": {}}, AdapterChoice({}, {})),
        ({"adapters": ["a", "b"]}, AdapterChoice({"a": 1.0, "b": 1.0}, {})),
        ({"adapters": {"a": 0.5, "b": -2}}, AdapterChoice({"a": 0.5, "b": -2.0}, {})),
        ({"lora": [{"id": 1, "scale": 0.5}, {"id": 0}]}, AdapterChoice({}, {1: 0.5, 0: 1.0})),
        ({"extra_body": {"adapters": ["a"]}}, AdapterChoice({"a": 1.0}, {})),
    ],
)
def test_forms(fields: dict[str, Any], expected: AdapterChoice | None) -> None:
    assert parse_chat_request({"messages": HELLO, **fields}).adapters == expected
    assert parse_completion_request({"prompt": "x", **fields}).adapters == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"adapters": "a"}, "adapters"),
        ({"adapters": ["a", 1]}, "adapters[1]"),
        ({"adapters": [""]}, "adapters[0]"),
        ({"adapters": {"a": "much"}}, "adapters.a"),
        ({"adapters": {"a": True}}, "adapters.a"),
        ({"adapters": {"a": float("nan")}}, "adapters.a"),
        ({"adapters": {"a": float("inf")}}, "adapters.a"),
        ({"lora": {"id": 0}}, "lora"),
        ({"lora": [{"scale": 1}]}, "lora[0].id"),
        ({"lora": [{"id": -1}]}, "lora[0].id"),
        ({"lora": [{"id": 0, "name": "a"}]}, "lora[0].name"),
        ({"lora": [], "adapters": []}, "lora"),
    ],
)
def test_wrong_ones_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_chat_request({"messages": HELLO, **fields})
    assert error.value.param == param
