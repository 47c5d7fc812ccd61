"""Models that see: logits as transformers has them, from images in chat requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import Teacher
from made_models import checksum
from made_vision import FIXTURE, SEEING, conversations, vision_weights, write_seeing

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device

ANSWER = b"A cat."


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.fixture(scope="module", params=SEEING)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seeing(tmp_path_factory.mktemp("seeing") / request.param, SEEING[request.param])


@pytest.fixture(scope="module")
async def engine(folder: Path, device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        yield engine


async def logits_of(engine: Engine, messages: list[Any]) -> tuple[np.ndarray, int, int]:
    """Behind the prompt and along the answer; the prompt's tokens, and how many were cached."""
    teacher = Teacher([*ANSWER, 0])
    reply = await engine.chat.completions.create(
        messages=messages,
        max_tokens=len(ANSWER) + 1,
        temperature=0,
        ignore_eos=True,
        logits_processors=[teacher],
    )
    usage = reply.usage
    return np.array(teacher.seen), usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens


@pytest.mark.parametrize("name", ["tiles", "whole", "two"])
async def test_logits(engine: Engine, expected: dict[str, np.ndarray], name: str) -> None:
    spec = SEEING[engine.name]
    assert checksum(vision_weights(spec)) == expected[f"{spec.name} checksum"]
    found, tokens, _ = await logits_of(engine, conversations(spec)[name])
    logits = expected[f"{spec.name} {name} logits"]
    assert tokens == len(expected[f"{spec.name} {name} ids"])
    print("ERR", np.abs(found - logits).max())
    assert np.abs(found - logits).max() < 2e-4
