"""Random values in every field: a request is parsed or refused, nothing else happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from webllm_py.api import parse_chat_request, parse_completion_request
from webllm_py.api.embeddings import parse_embedding_request
from webllm_py.api.fields import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    EMBEDDING_FIELDS,
    UNSUPPORTED,
    WITHOUT_EFFECT,
)
from webllm_py.errors import RequestError

WORDS = [
    "", "a", "role", "content", "user", "assistant", "tool", "system", "type", "text", "function",
    "name", "arguments", "parameters", "tool_calls", "tool_call_id", "id", "image_url", "auto",
    "none", "include_usage", "enable_thinking", "messages", "0", "17", "-1", "1e5", "\ud800", "é🎉",
    "x" * 300, "temperature", "stream", "json_object", "low", "\x00",
]  # fmt: skip
LEAVES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**63,
    -(2**70), 10**5000, np.float32(0.5), np.int64(3), np.zeros(3), np.bool_(True), b"bytes",
    object(), len, {1, 2}, 1j, range(3), ..., lambda x: x,
]  # fmt: skip
FIELDS = sorted(CHAT_FIELDS | COMPLETION_FIELDS | UNSUPPORTED | WITHOUT_EFFECT | {"extra_body"})


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(5 if depth else 2)
    if kind == 0:
        return rng.choice(LEAVES)
    if kind == 1:
        return rng.choice(WORDS)
    if kind == 2:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 3:
        return tuple(random_value(rng, depth - 1) for _ in range(rng.randrange(3)))
    return {random_key(rng): random_value(rng, depth - 1) for _ in range(rng.randrange(6))}


def random_key(rng: random.Random) -> Any:
    return rng.choice(WORDS) if rng.random() < 0.9 else rng.choice([0, 5, None, 1.5, (1,), b"k"])


def random_message(rng: random.Random) -> Any:
    """Mostly right, so that the deeper checks are reached."""
    message: Any = {
        "role": rng.choice(["system", "user", "assistant", "tool", "developer"]),
        "content": rng.choice(["hi", [{"type": "text", "text": "hi"}], None]),
    }
    if rng.random() < 0.5:
        message["tool_calls"] = [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ]
    if rng.random() < 0.3:
        message["tool_call_id"] = "a"
    return mutated(rng, message)


def mutated(rng: random.Random, value: Any) -> Any:
    """The value, with here and there another one in its place."""
    if rng.random() < 0.08:
        return random_value(rng, 2)
    if isinstance(value, dict):
        return {key: mutated(rng, item) for key, item in value.items()}
    if isinstance(value, list):
        return [mutated(rng, item) for item in value]
    return value


@pytest.mark.parametrize(
    ("parse", "base", "names"),
    [
        (parse_chat_request, {"messages": [{"role": "user", "content": "hi"}]}, FIELDS),
        (parse_completion_request, {"prompt": "hi"}, FIELDS),
        (
            parse_embedding_request,
            {"input": "hi"},
            [*sorted(EMBEDDING_FIELDS), "user", "extra_body"],
        ),
    ],
)
def test_only_request_errors(
    parse: Callable[[Any], Any], base: dict[str, Any], names: list[str]
) -> None:
    rng = random.Random(7)
    accepted = 0
    for round_ in range(20_000):
        fields: Any = dict(base)
        if "messages" in base and round_ % 3 == 0:
            fields["messages"] = [random_message(rng) for _ in range(rng.randrange(1, 4))]
        else:
            for name in rng.sample(names, rng.randrange(1, 4)):
                fields[name] = random_value(rng, 3)
        try:
            parse(fields)
        except RequestError as error:
            assert error.param is not None, fields
            assert error.code, fields
            assert len(str(error)) < 3000, fields
        else:
            accepted += 1
    assert 500 < accepted < 19_000  # both outcomes were really tried


@pytest.mark.parametrize("fields", [None, [], "messages", 5, {1: 2}])
def test_a_request_that_is_no_object_is_refused(fields: Any) -> None:
    with pytest.raises(RequestError):
        parse_chat_request(fields)
