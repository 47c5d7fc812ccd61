"""Messages and tools of chat requests."""

from __future__ import annotations

from typing import Any

import pytest

from webllm_py.api.messages import parse_messages, parse_tools
from webllm_py.api.responses import ChatCompletionMessage, FunctionCall, ToolCall
from webllm_py.errors import RequestError

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("message", "normal"),
    [
        ({"role": "system", "content": "s"}, {"role": "system", "content": "s"}),
        ({"role": "developer", "content": ""}, {"role": "developer", "content": ""}),
        (
            {"role": "user", "content": "u", "name": "Ann"},
            {"role": "user", "content": "u", "name": "Ann"},
        ),
        (
            {"role": "user", "content": ({"type": "text", "text": "a"},)},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
        ),
        (
            {"role": "assistant", "content": "x", "refusal": None, "audio": None, "name": None,
             "annotations": [], "function_call": None, "tool_calls": None},
            {"role": "assistant", "content": "x"},
        ),
        (
            {"role": "assistant", "content": "x", "tool_calls": [], "reasoning_content": "r"},
            {"role": "assistant", "content": "x", "reasoning_content": "r"},
        ),
        (
            {"role": "assistant", "content": "1", "parsed": {"a": 1}, "tool_calls": [
                {**CALL, "function": {**CALL["function"], "parsed_arguments": {"a": 1}}}
            ]},
            {"role": "assistant", "content": "1", "tool_calls": [CALL]},
        ),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "index": 0}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [
                {**CALL, "function": {"name": "f", "arguments": {"a": "é"}}}
            ]},
            {"role": "assistant", "content": None, "tool_calls": [
                {**CALL, "function": {"name": "f", "arguments": '{"a": "é"}'}}
            ]},
        ),
        (
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
        ),
    ],
)  # fmt: skip
def test_normal_form(message: dict[str, Any], normal: dict[str, Any]) -> None:
    assert parse_messages([message]) == (normal,)


def test_an_answer_can_be_sent_back_as_a_message() -> None:
    plain = ChatCompletionMessage("yes")
    calling = ChatCompletionMessage(
        None, tool_calls=[ToolCall("c1", FunctionCall('{"a": 1}', "f"))]
    )
    assert parse_messages([plain, calling.to_dict(), calling]) == (
        {"role": "assistant", "content": "yes"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
    )


URL = "https://example.org/cat.png"


@pytest.mark.parametrize("detail", [None, "auto", "low", "high"])
def test_an_image_in_either_form(detail: str | None) -> None:
    said = {} if detail is None else {"detail": detail}
    parts = [
        {"type": "image_url", "image_url": {"url": URL, **said}},
        {"type": "image", "image": URL, **said},
    ]
    (message,) = parse_messages([{"role": "user", "content": parts}])
    normal = {"type": "image", "image": URL, "detail": detail or "auto"}
    assert message["content"] == [normal, normal]


def test_an_image_of_python_is_handed_on() -> None:
    part = {"type": "image", "image": b"PNG"}
    (message,) = parse_messages([{"role": "user", "content": [part]}])
    assert message["content"] == [{**part, "detail": "auto"}]


@pytest.mark.parametrize(
    ("message", "param", "words"),
    [
        ("hi", "", "an object"),
        ({}, ".role", "missing"),
        ({"role": 3, "content": ""}, ".role", "a string"),
        ({"role": "robot", "content": ""}, ".role", "'developer'"),
        ({"role": "user"}, ".content", "missing"),
        ({"role": "user", "content": None}, ".content", "missing"),
        ({"role": "user", "content": 5}, ".content", "a whole number"),
        ({"role": "user", "content": []}, ".content", "at least one part"),
        ({"role": "user", "content": "\udc00"}, ".content", "surrogate"),
        ({"role": "user", "content": ["a"]}, ".content[0]", "an object"),
        ({"role": "user", "content": [{"text": "a"}]}, ".content[0].type", "missing"),
        ({"role": "user", "content": [{"type": "txt"}]}, ".content[0].type", "'text'"),
        ({"role": "user", "content": [{"type": "text"}]}, ".content[0].text", "missing"),
        ({"role": "user", "content": [{"type": "text", "text": 1}]}, ".content[0].text", "string"),
        (
            {"role": "user", "content": [{"type": "input_audio"}]},
            ".content[0].type",
            "'input_audio', which is not supported yet",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            ".content[0].image_url.url",
            "must begin with 'data:image/', 'http://' or 'https://', not 'x'",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png,"}]},
            ".content[0].image_url",
            "an object",
        ),
        (
            {"role": "user", "content": [{"type": "image_url"}]},
            ".content[0].image_url",
            "missing",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": URL, "detail": "best"}}],
            },
            ".content[0].image_url.detail",
            "'low'",
        ),
        (
            {"role": "user", "content": [{"type": "image", "image": "/etc/hosts"}]},
            ".content[0].image",
            "must begin with 'data:image/'",
        ),
        (
            {"role": "system", "content": [{"type": "image_url", "image_url": {"url": URL}}]},
            ".content[0].type",
            "only users",
        ),
        ({"role": "user", "content": "", "name": ""}, ".name", "empty"),
        ({"role": "user", "content": "", "contents": ""}, ".contents", "'content'"),
        ({"role": "user", "content": "", "tool_call_id": "a"}, ".tool_call_id", "Unknown field"),
        ({"role": "assistant"}, ".content", "missing"),
        ({"role": "assistant", "tool_calls": []}, ".content", "missing"),
        ({"role": "assistant", "content": "", "refusal": "no"}, ".refusal", "not supported yet"),
        ({"role": "assistant", "tool_calls": {}}, ".tool_calls", "a list"),
        ({"role": "assistant", "tool_calls": [1]}, ".tool_calls[0]", "an object"),
        ({"role": "assistant", "tool_calls": [{}]}, ".tool_calls[0].type", "missing"),
        (
            {"role": "assistant", "tool_calls": [{"type": "custom"}]},
            ".tool_calls[0].type",
            "'function'",
        ),
        (
            {"role": "assistant", "tool_calls": [{"type": "function"}]},
            ".tool_calls[0].function",
            "is missing",
        ),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f"}}]},
            ".tool_calls[0].function.arguments",
            "missing",
        ),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "id": None}]},
            ".tool_calls[0].id",
            "missing",
        ),
        ({"role": "tool", "content": "3"}, ".tool_call_id", "missing"),
    ],
)
def test_wrong_messages_name_the_place(message: Any, param: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_messages([{"role": "user", "content": "fine"}, message])
    assert caught.value.param == f"messages[1]{param}"
    assert words in str(caught.value)


def test_tools_are_copied_in_openais_form() -> None:
    parameters = {"type": "object", "properties": {"x": {"enum": [1, None, 2.5, "é"]}}}
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": parameters, "strict": False},
    }
    function = {"name": "f", "description": "d", "parameters": parameters}
    parsed = parse_tools([tool, {"type": "function", "function": {"name": "g"}}])
    assert parsed == (
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "g"}},
    )
    assert parsed[0]["function"]["parameters"] is not parameters


@pytest.mark.parametrize(
    ("tool", "param", "words"),
    [
        ("f", "", "an object"),
        ({"type": "web_search"}, ".type", "not supported yet"),
        ({"type": "function"}, ".function", "is missing"),
        ({"type": "function", "function": {}}, ".function.name", "missing"),
        ({"type": "function", "function": {"name": ""}}, ".function.name", "empty"),
        (
            {"type": "function", "function": {"name": "f", "parameter": {}}},
            ".function.parameter",
            "'parameters'",
        ),
        (
            {"type": "function", "function": {"name": "f", "parameters": []}},
            ".function.parameters",
            "an object",
        ),
        (
            {"type": "function", "function": {"name": "f", "parameters": {"a": {1, 2}}}},
            ".function.parameters.a",
            "set",
        ),
        (
            {"type": "function", "function": {"name": "f", "strict": 1}},
            ".function.strict",
            "true or false",
        ),
        ({"type": "function", "function": {"name": 'a"b'}}, ".function.name", "letters"),
    ],
)
def test_wrong_tools_name_the_place(tool: Any, param: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_tools([tool])
    assert caught.value.param == f"tools[0]{param}"
    assert words in str(caught.value)


def test_a_name_is_given_once() -> None:
    with pytest.raises(RequestError, match="given twice") as caught:
        parse_tools([{"type": "function", "function": {"name": "f"}}] * 2)
    assert caught.value.param == "tools[1].function.name"


def test_endless_nesting_is_refused() -> None:
    schema: dict[str, Any] = {}
    schema["self"] = schema
    with pytest.raises(RequestError, match="levels deep") as caught:
        parse_tools([{"type": "function", "function": {"name": "f", "parameters": schema}}])
    assert str(caught.value.param).startswith("tools[0].function.parameters.self")
