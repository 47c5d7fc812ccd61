"""Kernels in other shapes say the same; a load that tunes keeps what it found for the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine_tools import said

import webllm_py
from webllm_py import Engine
from webllm_py.fetch.store.texts import FolderStore
from webllm_py.gpu import Device
from webllm_py.runtime.tuning import choices, tuner
from webllm_py.runtime.tuning.problems import problems_of


@pytest.fixture(scope="module")
async def pocket(device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(device=device, tune=False) as engine:
        yield engine


async def greedy(engine: Engine) -> str:
    reply = await engine.chat.completions.create(
        messages=[{"role": "user", "content": "What is the capital of Japan?"}],
        temperature=0,
        max_tokens=24,
        prompt_lookup=False,
    )
    return str(reply.choices[0].message.content)


@pytest.mark.parametrize("which", [2, 3, 6])
async def test_the_pocket_model_says_the_same_in_every_shape(which: int, pocket: Engine) -> None:
    """The shape of that number of every problem, the default being number 0."""
    executor = pocket.loaded.executor
    default = executor.tuning
    usual = await greedy(pocket)
    assert "Tokyo" in usual
    chosen = {p.name: p.shapes[which % len(p.shapes)] for p in problems_of(executor)}
    try:
        await executor.retune(replace(default, chosen=chosen))
        step = await executor.decoder.step(1, 64)
        used = {
            tuple(int(dict(d.kernel.overrides)[word]) for word in ("LANES", "GROUPS", "QUADS"))
            for d in step.dispatches
            if d.kernel.name == "gemv"
        }
        assert used == {shape[:3] for name, shape in chosen.items() if name.startswith("gemv")}
        assert await greedy(pocket) == usual
    finally:
        await executor.retune(default)


async def test_a_load_that_tunes(
    small_model: Path, device: Device, pocket: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one problem, however slow the machine is."""
    assert problems_of(pocket.loaded.executor)[0].name.startswith("gemv")
    monkeypatch.setattr(tuner, "problems_of", lambda executor, **_: problems_of(executor)[:1])
    buffers = device.n_buffers
    async with await webllm_py.load(small_model, device=device, tune=False) as engine:
        assert (engine.info["tuning"], engine.info["tuned_shapes"]) == ("off", {})
        usual = await said(engine)
    async with await webllm_py.load(small_model, device=device, tune=True) as engine:
        found = engine.info["tuned_shapes"]
        assert len(found) == 1
        assert engine.info["tuning"].startswith("1 of 1 shapes tuned in ")
        assert await said(engine) == usual
    async with await webllm_py.load(small_model, device=device) as engine:
        assert engine.info["tuned_shapes"] == found
        assert engine.info["tuning"] == "1 of 1 shapes as tuned before"
        assert await said(engine) == usual
    assert device.n_buffers == buffers


async def test_a_damaged_cache_breaks_no_load(
    small_model: Path, device: Device, kept_choices: Path
) -> None:
    await FolderStore(kept_choices).write(choices.file_name(device), "\0" * 100)
    async with await webllm_py.load(small_model, device=device) as engine:
        assert engine.info["tuned_shapes"] == {}
