"""Responses against the models of the public openai package: names, types, and values, strictly."""

from __future__ import annotations

from typing import Any

import pytest
from openai import types
from openai.types import chat
from pydantic import BaseModel

from webllm_py.api import ScoredToken, Timings, Usage
from webllm_py.api.responses import (
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    FunctionCall,
    ToolCall,
)
from webllm_py.api.stream import ChatResponses, CompletionResponses, Finished

USAGE = Usage.count(10, 5, cached_tokens=2, timings=Timings(e2e_latency_s=1.5))
SCORES = [
    ScoredToken(0, b"Hi", -0.5, [(b"Hi", -0.5), (b"\xf0\x9f", -1.25)]),
    ScoredToken(2, b"!", -2.0),
]


def matches(model: type[BaseModel], response: Any) -> BaseModel:
    """The package's object, which must have read every field but our own."""
    found = model.model_validate_json(response.to_json(), strict=True)
    unknown = set(found.model_extra or {})
    assert not unknown, f"{model.__name__} does not know {unknown}"
    return found


@pytest.mark.parametrize("scores", [None, SCORES])
def test_a_chat_completion(scores: Any) -> None:
    reply = ChatResponses("m").whole(
        [Finished("Hi!", "stop", scores), Finished("x", "length", scores)], USAGE
    )
    found = matches(chat.ChatCompletion, reply)
    assert isinstance(found, chat.ChatCompletion)
    choice = found.choices[0]
    assert choice.message.content == "Hi!"
    assert not choice.model_extra and not choice.message.model_extra
    assert found.usage.prompt_tokens_details.cached_tokens == 2
    if scores:
        first = choice.logprobs.content[0]
        assert (first.token, first.bytes, first.logprob) == ("Hi", [72, 105], -0.5)
        assert [t.token for t in first.top_logprobs] == ["Hi", "\\xf0\\x9f"]
        assert not first.model_extra and not choice.logprobs.model_extra
    else:
        assert choice.logprobs is None


def test_tool_calls() -> None:
    call = ToolCall("call_1", FunctionCall('{"a": 1}', "add"))
    message = ChatCompletionMessage(None, tool_calls=[call])
    reply = ChatCompletion("chatcmpl-1", [Choice("tool_calls", 0, message)], 1, "m")
    found = matches(chat.ChatCompletion, reply)
    assert isinstance(found, chat.ChatCompletion)
    assert found.choices[0].message.tool_calls[0].function.name == "add"


def test_the_pieces_of_a_chat() -> None:
    responses = ChatResponses("m")
    pieces = [
        *responses.opening(0),
        *responses.text(0, "Hi"),
        *responses.text(0, "Hi!", SCORES),
        *responses.finish(0, "stop"),
        responses.usage(USAGE),
    ]
    found = [matches(chat.ChatCompletionChunk, piece) for piece in pieces]
    assert found[0].choices[0].delta.role == "assistant"  # type: ignore[attr-defined]
    assert found[2].choices[0].logprobs.content[1].token == "!"  # type: ignore[attr-defined]
    assert found[4].usage.total_tokens == 15  # type: ignore[attr-defined]


@pytest.mark.parametrize("scores", [None, SCORES])
def test_a_completion(scores: Any) -> None:
    reply = CompletionResponses("m").whole([Finished("Hi!", "length", scores)], USAGE)
    found = matches(types.Completion, reply)
    assert isinstance(found, types.Completion)
    if scores:
        logprobs = found.choices[0].logprobs
        assert logprobs.tokens == ["Hi", "!"] and logprobs.text_offset == [0, 2]
        assert logprobs.top_logprobs[0] == {"Hi": -0.5, "bytes:\\xf0\\x9f": -1.25}
        assert not logprobs.model_extra


def test_a_wrong_shape_is_noticed() -> None:
    (reply,) = CompletionResponses("m").text(0, "x")  # a piece has no reason to end
    with pytest.raises(ValueError, match="finish_reason"):
        matches(types.Completion, reply)
