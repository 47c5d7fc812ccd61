"""A model that computes NaN: an error of that name, and nothing of it is kept."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engine_tools import said

import webllm_py
from webllm_py import Engine, NotANumberError
from webllm_py.gpu import Device

JSON = {"type": "json_object"}
ASKED: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 1, "top_k": 5, "seed": 1},
    {"temperature": 1, "n": 3, "seed": 1},
    {"logprobs": 2},
    {"response_format": JSON},
    {"response_format": JSON, "temperature": 1, "seed": 1, "top_p": 0.9},
    {"response_format": JSON, "temperature": 1, "n": 3, "seed": 1},
    {"response_format": JSON, "logprobs": 2},
    {"response_format": JSON, "dry_multiplier": 1.0},
    {"response_format": JSON, "logits_processors": [lambda logits: logits]},
    {"response_format": {"type": "grammar", "grammar": 'root ::= "Once upon a time" "!"*'}},
]


@pytest.fixture
async def engine(small_model: Path, device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(small_model, device=device, tune=False) as engine:
        yield engine


def spoil(engine: Engine, value: float) -> None:
    """Multiply the final hidden states, and so the logits, with that."""
    vector, buffer = engine.loaded.executor.weights.vectors["token_embd"]
    values = array("f", [value] * vector.columns)
    engine.loaded.executor.device.write(buffer, 0, values.tobytes())


async def test_an_error_instead_of_a_token(engine: Engine) -> None:
    spoil(engine, 1.0)
    usual = await said(engine)
    for fields in ASKED:
        spoil(engine, float("nan"))
        with pytest.raises(NotANumberError, match="no numbers"):
            await engine.completions.create(prompt="Once", max_tokens=20, **fields)
        spoil(engine, 1.0)
        assert await said(engine) == usual


async def test_of_answers_together_each_fails(engine: Engine) -> None:
    spoil(engine, 1.0)
    usual = await said(engine)
    spoil(engine, float("nan"))
    asked = [engine.completions.create(prompt=f"Once {i}", max_tokens=30) for i in range(3)]
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(outcome, NotANumberError)
    spoil(engine, 1.0)
    assert await said(engine) == usual
    assert engine.loaded.executor.cache.pages.running == 0


async def test_one_that_begins_while_it_goes_wrong(engine: Engine) -> None:
    """Answers that are under way fail as well, and the engine goes on."""
    spoil(engine, 1.0)
    usual = await said(engine)
    streams = [
        await engine.completions.create(
            prompt=f"Once {i}", max_tokens=2000, stream=True, ignore_eos=True
        )
        for i in range(2)
    ]
    for stream in streams:
        await anext(stream)
    spoil(engine, float("nan"))
    for stream in streams:
        with pytest.raises(NotANumberError):
            async for _ in stream:
                pass
    spoil(engine, 1.0)
    assert await said(engine) == usual


async def test_a_text_that_cannot_go_on_is_another_thing(engine: Engine) -> None:
    """It ends where a processor leaves none of the tokens that its form allows."""
    spoil(engine, 1.0)
    banned = {"response_format": JSON, "logits_processors": [lambda logits: logits * 0 - math.inf]}
    for fields in (banned, {**banned, "n": 2}, {**banned, "temperature": 1, "seed": 1}):
        reply = await engine.completions.create(prompt="Once", max_tokens=20, **fields)
        assert {choice.text for choice in reply.choices} == {""}
