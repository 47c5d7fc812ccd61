"""Decode steps whose activations are rounded to 8 bits: how far off, and when they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_tools import said
from test_fidelity import load, measured

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.models import linear
from webllm_py.models.tuning import rounds
from webllm_py.runtime.tuning import rounding, tuner
from webllm_py.runtime.tuning.problems import problems_of

Find = Callable[[str], Path]


async def round_all(engine: Engine) -> int:
    """Have every matrix that can be multiplied so; how many problems these are."""
    executor = engine.loaded.executor
    problems = problems_of(executor, rounding=True)
    chosen = {p.name: p.shapes[1] for p in problems if rounds(p.name, p.shapes[1])}
    await executor.retune(replace(executor.tuning, chosen=chosen))
    return len(chosen)


@pytest.mark.parametrize("name", ["tinystories-656k-q4", "pocket"])
async def test_fidelity(name: str, checkpoint: Find, device: Device) -> None:
    """Less than what float16 may be off by, but more than it is. ``engine.logits`` stays exact."""
    async with await load(name, checkpoint, device, "f16") as engine:
        exact = await engine.logits([5, 6, 7])
        assert await round_all(engine) >= 4
        assert "decoding in 8 bits" in engine.info["kernels"]
        assert 1e-5 < await measured(engine, name) < 2e-3
        np.testing.assert_array_equal(exact, await engine.logits([5, 6, 7]))
        assert await rounding.rounds_right(engine.loaded.executor)


async def test_the_pocket_model_says_the_same(device: Device) -> None:
    async with await webllm_py.load(device=device, tune=False) as engine:
        usual = await said(engine, max_tokens=24)
        await round_all(engine)
        assert await said(engine, max_tokens=24) == usual


async def test_answers_decoded_together(device: Device) -> None:
    """They round what they round alone, and say the same."""
    async with await webllm_py.load(device=device, tune=False) as engine:
        await round_all(engine)
        names = {d.kernel.name for d in engine.loaded.executor.forward(4)}
        assert {"round_rows", "gemv_rows_dot4"} <= names and not names & {"gemv_rows", "gemv"}
        asked = [{"prompt": prompt, "max_tokens": 16} for prompt in ("The sun", "A cat", "My", "1")]
        alone = [await said(engine, **fields) for fields in asked]
        assert await asyncio.gather(*(said(engine, **fields) for fields in asked)) == alone


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Of one problem, CPUs that play a GPU try a shape that rounds, and it always wins."""

    def one(executor: object, **options: bool) -> object:
        first, *_ = problems_of(executor, **options)  # type: ignore[arg-type]
        return [replace(first, shapes=first.shapes[:2])]

    monkeypatch.setattr(rounding, "offers_dot4", lambda _: True)
    monkeypatch.setattr(tuner, "problems_of", one)
    monkeypatch.setattr(tuner, "ROUNDING", 1e-6)
    return monkeypatch


async def test_a_load_that_tunes(device: Device, offered: pytest.MonkeyPatch) -> None:
    async with await webllm_py.load(device=device, tune=True) as engine:
        ((_, shape),) = engine.info["tuned_shapes"].items()
        assert shape[4] > 0 and "decoding in 8 bits" in engine.info["kernels"]
        usual = await said(engine)
    async with await webllm_py.load(device=device) as engine:
        assert engine.info["tuning"] == "1 of 1 shapes as tuned before"
        assert await said(engine) == usual


async def test_where_it_is_not_right(device: Device, offered: pytest.MonkeyPatch) -> None:
    """Even rounding counts as wrong here."""
    offered.setattr(rounding, "MOST_DEVIATION", {"dot4": 1e-5})
    async with await webllm_py.load(device=device, tune=True) as engine:
        assert "8 bits" not in engine.info["kernels"]


async def test_where_float32_is_asked_for(device: Device, offered: pytest.MonkeyPatch) -> None:
    async with await webllm_py.load(device=device, tune=True, kv_dtype="f32") as engine:
        assert "8 bits" not in engine.info["kernels"]


async def test_what_is_as_large_is_rounded_too(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load has no time to try every matrix. Adapters have no kernel that rounds."""
    monkeypatch.setattr(linear, "LARGE", 1)
    async with await webllm_py.load(device=device, tune=False) as engine:
        executor = engine.loaded.executor
        first, *_ = problems_of(executor, rounding=True)
        await executor.retune(replace(executor.tuning, chosen={first.name: first.shapes[1]}))
        step = executor.graph(1).tuning
        assert step.rounds and not executor.graph(1, kv_format="f32").tuning.rounds
        names = {d.kernel.name for d in executor.forward(1)}
        assert "gemv_dot4" in names and "gemv" not in names
