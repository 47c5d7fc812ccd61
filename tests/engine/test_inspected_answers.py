"""Requests that return hidden states and attentions: what ``inspect``, which is tested against
transformers, finds of the same tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import Engine, RequestError
from webllm_py.errors import ContextLengthError
from webllm_py.gpu import Device

WANTED = {"return_hidden_states": True, "return_attentions": True}
MESSAGES = [{"role": "user", "content": "Once"}]
ASKED = {"temperature": 1, "seed": 3, "max_tokens": 5, "ignore_eos": True}


@pytest.fixture(scope="module")
async def exact(files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    """The small model in float32."""
    source = files.huggingface(SMALL)
    async with await webllm_py.load(source, device=plain_device, kv_dtype="f32") as engine:
        yield engine


async def check_seen(engine: Engine, choice: Any) -> None:
    """A choice has what ``inspect`` finds of its tokens."""
    seen = await engine.inspect(choice.token_ids, output_hidden_states=True, output_attentions=True)
    assert (choice.hidden_states == seen.hidden_states).all()
    assert (choice.attentions == seen.attentions).all()


async def test_each_choice_has_its_own(exact: Engine, nothing_left: None) -> None:
    prompt = exact.tokenizer.encode("Once upon")
    plain = await exact.completions.create(prompt=prompt, n=2, **ASKED)
    answer = await exact.completions.create(prompt=prompt, n=2, **ASKED, **WANTED)
    assert [choice.text for choice in answer.choices] == [choice.text for choice in plain.choices]
    first, second = answer.choices
    assert first.token_ids != second.token_ids
    for choice in answer.choices:
        assert choice.token_ids[: len(prompt)] == prompt
        assert len(choice.token_ids) == len(prompt) + 5
        await check_seen(exact, choice)
    again = await exact.completions.create(prompt=prompt, n=2, **ASKED)
    assert [choice.text for choice in again.choices] == [choice.text for choice in plain.choices]
    assert "hidden_states" not in again.choices[0].to_dict()


async def test_streams_end_with_it(exact: Engine) -> None:
    whole = await exact.chat.completions.create(messages=MESSAGES, n=2, **ASKED, **WANTED)
    stream = await exact.chat.completions.create(
        messages=MESSAGES, n=2, stream=True, **ASKED, **WANTED
    )
    pieces = [choice async for chunk in stream for choice in chunk.choices]
    for choice in whole.choices:
        own = [piece for piece in pieces if piece.index == choice.index]
        assert "".join(piece.delta.content or "" for piece in own) == choice.message.content
        assert all(piece.token_ids is None for piece in own[:-1])
        assert own[-1].finish_reason == choice.finish_reason == "length"
        assert own[-1].token_ids == choice.token_ids
        await check_seen(exact, own[-1])


async def test_only_what_was_asked_for_and_in_json(exact: Engine) -> None:
    answer = await exact.chat.completions.create(
        messages=MESSAGES, **ASKED, return_hidden_states=True
    )
    (choice,) = json.loads(answer.to_json())["choices"]
    states = choice["hidden_states"]
    array = np.frombuffer(base64.b64decode(states["base64"]), "<f4").reshape(states["shape"])
    assert states["dtype"] == "float32"
    assert array.shape == (SMALL.layers + 1, len(choice["token_ids"]), SMALL.hidden)
    assert (array == answer.choices[0].hidden_states).all()
    assert "attentions" not in choice and answer.choices[0].attentions is None


async def test_refused_before_anything_is_written(
    exact: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    per_token = 4 * (SMALL.layers + 1) * SMALL.hidden
    prompt = len("Once")
    asked: dict[str, Any] = {"prompt": [*b"Once"], "return_hidden_states": True}
    monkeypatch.setattr("webllm_py.engine.inspected.MOST_BYTES", 2 * per_token * (prompt + 3))
    await exact.completions.create(**asked, max_tokens=3, n=2)
    with pytest.raises(RequestError, match=r"MiB.*max_tokens") as caught:
        await exact.completions.create(**asked, max_tokens=4, n=2)
    assert caught.value.param == "return_hidden_states"
    monkeypatch.setattr("webllm_py.engine.inspected.longest_inspected", lambda executor: prompt + 3)
    with pytest.raises(ContextLengthError, match="max_tokens"):
        await exact.completions.create(**asked, max_tokens=4)
    with pytest.raises(RequestError, match="true or false"):
        await exact.completions.create(**asked | {"return_hidden_states": 1})


async def test_an_interrupted_answer_comes_without(exact: Engine) -> None:
    stream = await exact.completions.create(
        prompt="Once upon", stream=True, max_tokens=100, ignore_eos=True, **WANTED
    )
    last = None
    async for chunk in stream:
        exact.interrupt()
        last = chunk.choices[0]
    assert last and last.finish_reason == "abort" and last.hidden_states is None
