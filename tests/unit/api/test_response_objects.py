"""Responses: OpenAI's exact shapes, as literals, and how the objects behave in Python.

tests/unit/api/test_openai_models.py holds them to the models of the public openai package.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from webllm_py.api.responses import (
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    FunctionCall,
    Timings,
    ToolCall,
    Usage,
)
from webllm_py.api.stream import ChatResponses, CompletionResponses, Finished
from webllm_py.chat.pieces import Parser
from webllm_py.chat.reasoning import MARKS, ReasoningParser
from webllm_py.chat.tools.syntax import HERMES

USAGE = Usage.count(10, 5, cached_tokens=2)
USAGE_JSON = {
    "completion_tokens": 5,
    "prompt_tokens": 10,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 2},
}


def without_identity(response: dict[str, Any]) -> dict[str, Any]:
    """The response without the fields that differ from call to call, after checking them."""
    response = dict(response)
    assert re.fullmatch(r"(chatcmpl|cmpl)-[0-9a-f]{32}", response.pop("id"))
    assert abs(response.pop("created") - time.time()) < 60
    return response


def test_a_chat_completion() -> None:
    reply = ChatResponses("m").whole([Finished("hi", "stop"), Finished("yo", "length")], USAGE)
    assert without_identity(reply.to_dict()) == {
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "finish_reason": "stop",
                "index": 0,
                "logprobs": None,
                "message": {"content": "hi", "refusal": None, "role": "assistant"},
            },
            {
                "finish_reason": "length",
                "index": 1,
                "logprobs": None,
                "message": {"content": "yo", "refusal": None, "role": "assistant"},
            },
        ],
        "usage": USAGE_JSON,
    }
    assert reply.id.startswith("chatcmpl-")


def test_a_chat_stream() -> None:
    responses = ChatResponses("m")
    chunks = [
        *responses.opening(0),
        *responses.text(0, "hi"),
        *responses.finish(0, "stop"),
        responses.usage(USAGE),
    ]
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    assert [without_identity(chunk.to_dict()) for chunk in chunks] == [
        {"object": "chat.completion.chunk", "model": "m", **rest}
        for rest in (
            {"choices": [{**choice, "delta": {"content": "", "role": "assistant"}}]},
            {"choices": [{**choice, "delta": {"content": "hi"}}]},
            {"choices": [{**choice, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": USAGE_JSON},
        )
    ]
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1


def calling() -> Parser:
    return ReasoningParser(MARKS[0], True, HERMES.parser({}))


THOUGHT = "Hm.\n</think>\n\n"
SAID = "Look:\n"
CALLED = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'


def test_a_chat_completion_that_reasons_and_calls() -> None:
    for said, content in ((SAID, "Look:"), ("", None)):
        reply = ChatResponses("m", calling).whole(
            [Finished(THOUGHT + said + CALLED, "stop")], USAGE
        )
        (choice,) = without_identity(reply.to_dict())["choices"]
        (call,) = choice["message"]["tool_calls"]
        assert re.fullmatch("[a-z0-9]{9}", call.pop("id"))
        assert choice == {
            "finish_reason": "tool_calls",
            "index": 0,
            "logprobs": None,
            "message": {
                "content": content,
                "refusal": None,
                "role": "assistant",
                "reasoning_content": "Hm.",
                "tool_calls": [
                    {"type": "function", "function": {"arguments": '{"a": 1}', "name": "f"}}
                ],
            },
        }
    cut = ChatResponses("m", calling).whole([Finished(THOUGHT + CALLED[:40], "length")], USAGE)
    assert cut.choices[0].finish_reason == "length"


def test_a_chat_stream_that_reasons_and_calls() -> None:
    responses = ChatResponses("m", calling)
    chunks = [*responses.opening(0)]
    for text in (THOUGHT, SAID, CALLED[:42], CALLED[42:], CALLED):
        chunks += responses.text(0, text)
    chunks += responses.finish(0, "stop")
    deltas = [chunk.to_dict()["choices"][0]["delta"] for chunk in chunks]
    ids = [call.pop("id") for d in deltas for call in d.get("tool_calls", ()) if "id" in call]
    assert len(set(ids)) == 2

    def begun(index: int) -> dict[str, Any]:
        call = {"index": index, "type": "function", "function": {"arguments": "", "name": "f"}}
        return {"tool_calls": [call]}

    def more(index: int, arguments: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}

    assert deltas == [
        {"content": "", "role": "assistant"},
        {"reasoning_content": "Hm."},
        {"content": "Look:"},
        begun(0),
        more(0, '{"a'),
        more(0, '": 1}'),
        begun(1),
        more(1, '{"a": 1}'),
        {},
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_completion_and_its_stream() -> None:
    responses = CompletionResponses("m")
    assert responses.opening(0) == []
    pieces = [
        responses.whole([Finished("a", "stop"), Finished("b", "abort")], USAGE),
        *responses.text(1, "b"),
        *responses.finish(1, "length"),
        responses.usage(USAGE),
    ]

    def choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
        return {"index": index, "text": text, "finish_reason": reason, "logprobs": None}

    assert [without_identity(piece.to_dict()) for piece in pieces] == [
        {"object": "text_completion", "model": "m", **rest}
        for rest in (
            {"choices": [choice(0, "a", "stop"), choice(1, "b", "abort")], "usage": USAGE_JSON},
            {"choices": [choice(1, "b", None)]},
            {"choices": [choice(1, "", "length")]},
            {"choices": [], "usage": USAGE_JSON},
        )
    ]
    assert pieces[0].id.startswith("cmpl-")


def test_two_requests_have_two_ids() -> None:
    ids = {ChatResponses("m").opening(0)[0].id for _ in range(100)}
    assert len(ids) == 100


def test_attributes_and_keys_are_the_same() -> None:
    reply = ChatResponses("m").whole([Finished("hi", "stop")], USAGE)
    assert reply.choices[0].message.content == "hi"
    assert reply["choices"][0]["message"]["content"] == "hi"
    assert reply.get("nothing", 5) == 5
    assert "usage" in reply
    assert "nothing" not in reply
    assert list(reply) == list(reply.to_dict())
    assert len(reply) == len(reply.to_dict())
    assert dict(**reply)["model"] == "m"
    assert reply == reply.to_dict()
    assert reply != ChatResponses("m").whole([Finished("hi", "stop")], USAGE)
    assert json.loads(reply.to_json()) == reply.to_dict()
    assert reply.model_dump(exclude_unset=True) == reply.to_dict()
    assert json.loads(reply.model_dump_json()) == reply.to_dict()
    assert '"refusal": null' in reply.model_dump_json()
    assert "null" not in reply.model_dump_json(exclude_none=True)
    dumped = reply.model_dump(exclude_none=True)["choices"][0]["message"]
    assert dumped == {"content": "hi", "role": "assistant"}
    with pytest.raises(KeyError):
        reply["to_dict"]


def test_a_field_left_out_is_no_key_but_reads_as_none() -> None:
    responses = ChatResponses("m")
    responses.opening(0)
    delta = responses.finish(0, "stop")[-1].choices[0].delta
    assert delta.content is None
    assert delta["content"] is None
    assert "content" not in delta
    assert delta.get("content", "") == ""
    assert dict(delta) == {}


def test_responses_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        USAGE.total_tokens = 3  # type: ignore[misc]


def test_timings() -> None:
    timings = Timings.measure(
        submitted=10.0,
        started=11.0,
        first_token=11.5,
        finished=13.5,
        prefilled_tokens=100,
        completion_tokens=41,
    )
    assert timings.to_dict() == {
        "prefill_tokens_per_s": 200.0,
        "decode_tokens_per_s": 20.0,
        "time_to_first_token_s": 1.5,
        "time_per_output_token_s": 0.05,
        "e2e_latency_s": 3.5,
    }


@pytest.mark.parametrize(
    ("first_token", "finished", "prefilled", "completion", "expected"),
    [
        (None, 2.0, 5, 0, (None, None, None, None, 2.0)),
        (1.0, 1.0, 0, 1, (None, None, 1.0, None, 1.0)),  # all of the prompt was cached
        (1.0, 1.0, 5, 9, (5.0, None, 1.0, None, 1.0)),  # all tokens arrived at once
    ],
)
def test_timings_that_cannot_be_measured_are_none(
    first_token: float | None,
    finished: float,
    prefilled: int,
    completion: int,
    expected: tuple[float | None, ...],
) -> None:
    timings = Timings.measure(
        submitted=0.0,
        started=0.0,
        first_token=first_token,
        finished=finished,
        prefilled_tokens=prefilled,
        completion_tokens=completion,
    )
    assert tuple(timings.values()) == expected


def test_notebooks_show_the_text() -> None:
    usage = Usage.count(10, 5, timings=Timings(decode_tokens_per_s=12.34))
    reply = ChatResponses("m").whole([Finished("**hi**", "stop")], usage)
    assert reply._repr_markdown_() == "**hi**\n\n<sub>stop · 5 tokens · 12.3 tokens/s</sub>"
    two = CompletionResponses("m").whole([Finished("a", "stop"), Finished("b", "length")], USAGE)
    assert two._repr_markdown_() == (
        "**Choice 0**\n\na\n\n**Choice 1**\n\nb\n\n<sub>stop, length · 5 tokens</sub>"
    )


def test_notebooks_quote_what_was_thought() -> None:
    message = ChatCompletionMessage("hi", reasoning_content="One\n\ntwo")
    reply = ChatCompletion("x", [Choice("stop", 0, message)], 1, "m")
    assert reply._repr_markdown_() == "> One\n>\n> two\n\nhi\n\n<sub>stop</sub>"


def test_notebooks_show_tool_calls_as_json() -> None:
    message = ChatCompletionMessage(None, tool_calls=[ToolCall("c1", FunctionCall("{}", "f"))])
    reply = ChatCompletion("x", [Choice("tool_calls", 0, message)], 1, "m")
    shown = reply._repr_markdown_()
    assert shown.startswith("```json\n")
    assert json.loads(shown.split("```")[1].removeprefix("json")) == {
        "id": "c1",
        "function": {"arguments": "{}", "name": "f"},
        "type": "function",
    }
    assert shown.endswith("<sub>tool_calls</sub>")
    assert reply.to_dict()["choices"][0]["message"]["tool_calls"] == [message.tool_calls[0]]  # type: ignore[index]


def test_repr_names_the_fields_that_json_has() -> None:
    assert repr(Usage.count(1, 2)) == (
        "Usage(completion_tokens=2, prompt_tokens=1, total_tokens=3, "
        "prompt_tokens_details=PromptTokensDetails(cached_tokens=0))"
    )
    choice = ChatResponses("m").whole([Finished("hi", "stop")], USAGE).choices[0]
    assert repr(choice) == (
        "Choice(finish_reason='stop', index=0, message=ChatCompletionMessage(content='hi', "
        "refusal=None, role='assistant'), logprobs=None)"
    )
