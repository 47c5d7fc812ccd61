"""The profile's rows agree with the model, and profiling leaves the engine as it was."""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import webllm_py
from webllm_py.bench import BenchOptions, core, run, table
from webllm_py.bench.figures import step_bytes
from webllm_py.bench.kernel_rows import Reads
from webllm_py.bench.profile import NO_TIMESTAMPS, profile_together
from webllm_py.bench.profile_table import profile_lines
from webllm_py.engine import Engine
from webllm_py.errors import DeviceLostError
from webllm_py.gpu.device import Device, Plan
from webllm_py.gpu.timestamps import durations
from webllm_py.models.step import ROWS_AT, Row
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

OPTIONS = BenchOptions(
    prompt_tokens=(8, 40), contexts=(32, 70), tokens=4, runs=2, history=50, together=2, profile=True
)
LAYERS = 2
BANDWIDTH = 1e9
QUESTION: dict[str, Any] = {"prompt": [5, 6, 7] * 12, "max_tokens": 12, "temperature": 0}


@pytest.fixture(scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """Random weights of two layers, 128 wide."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_random_model(path, "tiny", SHAPES["tiny"], "q4_0")
    try:
        engine = await webllm_py.load(path, context_length=256)
    except webllm_py.NoAdapterError as error:
        pytest.skip(f"no GPU adapter for wgpu: {error}")
    async with engine:
        if "timestamp-query" not in engine.info["features"]:
            pytest.skip(NO_TIMESTAMPS)
        yield engine


def quick_bench(engine: Engine) -> core.Bench:
    """What ``run`` measures with; a single run."""
    bench = core.Bench(engine, replace(OPTIONS, runs=1), lambda step: None)
    bench.bandwidth = BANDWIDTH
    return bench


@pytest.fixture(scope="module")
async def answers(engine: Engine) -> list[str]:
    """The engine's answer, before and (added by ``results``) after a bench."""
    return [(await engine.completions.create(**QUESTION)).choices[0].text]


@pytest.fixture(scope="module")
async def results(engine: Engine, answers: list[str]) -> dict[str, Any]:
    """All measurements but the bandwidth, which takes seconds."""

    async def known(device: Device) -> dict[str, float]:
        return {"bytes_per_s": BANDWIDTH, "buffer_bytes": 1 << 20}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "measure_bandwidth", known)
        found = await run(engine, OPTIONS)
    answers.append((await engine.completions.create(**QUESTION)).choices[0].text)
    return found


async def test_every_dispatch_is_in_one_row(engine: Engine, results: dict[str, Any]) -> None:
    executor = engine.loaded.executor
    of_step = (await executor.decoder.step(1, 40)).dispatches
    of_chunk = (await executor.forward_plan(64)).dispatches
    of_two = [*executor.forward(2), *of_step[-2:]]  # each draw is two kernels
    *decode, together, prefill = results["profile"]
    assert [(p["step"], p["context"]) for p in decode] == [("decode", 32), ("decode", 70)]
    assert (together["step"], together["answers"], together["context"]) == ("together", 2, 32)
    assert (prefill["step"], prefill["tokens"]) == ("prefill", 40)
    dispatches = (of_step, of_step, of_two, of_chunk)
    for profile, those in zip(results["profile"], dispatches, strict=True):
        rows = profile["kernels"]
        assert sum(row["count"] for row in rows) == len(those) == profile["dispatches"]
        assert {row["kernel"] for row in rows} == {d.kernel.name for d in those}
        seconds = [row["gpu_s"] for row in rows]
        assert seconds == sorted(seconds, reverse=True) and seconds[-1] > 0
        assert sum(seconds) == pytest.approx(profile["gpu_s"])
        assert sum(row["gpu_share"] for row in rows) == pytest.approx(1)
        assert profile["wall_s"] > 0
        assert profile["runs"] == 2


def test_matrices_by_name_shape_and_format(results: dict[str, Any]) -> None:
    shape = SHAPES["tiny"]
    hidden, inner = shape.hidden, shape.ffn
    matrices = {
        "qkv": [(shape.heads + 2 * shape.kv_heads) * shape.head_dim, hidden],
        "attn_output": [hidden, hidden],
        "gate_up": [2 * inner, hidden],
        "ffn_down": [hidden, inner],
    }
    for profile, kernel in zip(
        results["profile"], ("gemv", "gemv", "gemv_rows", "gemm"), strict=True
    ):
        found = {row["matrix"]: row for row in profile["kernels"] if kernel in row["kernel"]}
        for name, rows_and_columns in matrices.items():
            row = found[name]
            assert row["count"] == LAYERS
            assert row["shape"] == rows_and_columns
            assert row["format"] == "q4_0"


def test_bytes_are_those_of_the_bench(engine: Engine, results: dict[str, Any]) -> None:
    config = engine.loaded.executor.model.config
    for profile in results["profile"][:2]:
        positions = profile["context"] + 1
        rows = {(row["kernel"], row["matrix"]): row for row in profile["kernels"]}
        cache = 2 * LAYERS * config.n_kv_heads * config.head_dim * 2 * positions
        assert rows["attention_split", ""]["bytes"] == cache
        # 18 bytes a block of 32, for one token's row of the table.
        looked_up = rows["embed", "token_embd"]["bytes"]
        assert looked_up == config.hidden_size // 32 * 18
        whole = step_bytes(engine.loaded.executor, positions)
        assert profile["bytes"] == whole + looked_up
        share = profile["bytes"] / profile["gpu_s"] / BANDWIDTH
        assert profile["bandwidth_share"] == pytest.approx(share)


async def test_of_a_mixture_those_that_a_token_goes_to(tmp_path: Path) -> None:
    """4 of 16 experts of 3 matrices of 128 x 96 in 17 bytes a block, in each layer."""
    path, shape = tmp_path / "tiny.gguf", SHAPES["tiny-experts"]
    write_random_model(path, "tiny", shape, "mxfp4")
    try:
        engine = await webllm_py.load(path, context_length=64)
    except webllm_py.NoAdapterError as error:
        pytest.skip(f"no GPU adapter for wgpu: {error}")
    async with engine:
        executor = engine.loaded.executor
        dispatches = (await executor.decoder.step(1, 64)).dispatches
        reads = Reads(executor, 1, 10)
        experts = [reads.of(d) for d in dispatches if d.kernel.name == "expert_gemv"]
        looked_up = sum(reads.of(d) for d in dispatches if d.kernel.name == "embed")
        assert sum(experts) == LAYERS * 4 * 3 * 128 * 96 // 32 * 17
        assert sum(map(reads.of, dispatches)) == step_bytes(executor, 10) + looked_up


def test_answers_stay_as_they_were(results: dict[str, Any], answers: list[str]) -> None:
    before, after = answers
    assert before == after


def test_the_table_names_kernels_and_matrices(results: dict[str, Any]) -> None:
    text = table(results)
    _, *sections = re.split("\n\ndecode step (?:at|of) ", text)
    *sections, together = sections
    together, chunk = together.split("\n\nprefill chunk of ")
    dispatches = results["profile"][0]["dispatches"]
    assert sections[0].startswith(f"32 tokens: {dispatches} dispatches, medians of 2 runs\n")
    assert together.startswith("2 answers at 32 tokens: ")
    for section, profile in zip((*sections, together, chunk), results["profile"], strict=True):
        lines = section.splitlines()[2:]
        for line, row in zip(lines, profile["kernels"], strict=False):
            assert line.startswith(f"{row['kernel']} {row['matrix']}".strip())
        *_, kernels, between, wall = lines
        assert kernels.startswith("all kernels, one by one") and kernels.endswith("100.0%")
        assert between.startswith("between kernels")
        assert wall.startswith("wall time of a step")
        assert max(map(len, lines)) < 80
    assert "gemv gate_up 704x128 q4_0" in sections[0]


async def test_a_profile_runs_the_plan(engine: Engine) -> None:
    executor = engine.loaded.executor
    device, step, ring = executor.device, executor.buffers.step, executor.decoder.sampler.ring
    sequence = executor.cache.begin([1, 2, 3])
    await executor.cache.reserve(sequence, 8)
    plan = await executor.decoder.step(1, 40)
    drawn = []

    async def position() -> int:
        drawn.append(await device.read(ring, 0, 4))
        _, position = struct.unpack("<2I", await device.read(step, 4 * ROWS_AT, 8))
        return int(position)

    executor.write_rows([Row(3, 0)])
    device.replay(plan)
    assert await position() == 1
    executor.write_rows([Row(3, 0)])
    seconds = await device.profile(plan)
    assert len(seconds) == len(plan.dispatches) and min(seconds) > 0
    assert await position() == 1
    assert drawn[0] == drawn[1]
    executor.write_rows([Row(3, 0)])
    await device.profile(plan, 3)
    assert await position() == 3  # what advances in place does so each time
    executor.cache.pages.release(sequence)


async def test_where_times_are_rounded_kernels_are_repeated(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = engine.loaded.executor.device
    exact = device.profile
    asked = []

    async def rounded(plan: Plan, repeats: int = 1) -> list[float]:
        asked.append(repeats)
        seconds = await exact(plan, repeats)
        return [round(s * repeats * 1e4) / 1e4 / repeats for s in seconds]

    monkeypatch.setattr(device, "profile", rounded)
    profile, together = await quick_bench(engine).profile((32,), ())
    assert profile["repeats"] > 1
    assert set(asked) == {1, profile["repeats"], together["repeats"]}
    first, *_ = profile_lines(profile)
    assert first.endswith(f"medians of 1 run of {profile['repeats']} times each")


async def test_a_profile_that_fails_keeps_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No plans whose buffers are gone."""
    executor = engine.loaded.executor
    before = executor.device.n_buffers, [*executor.plans.recorded]

    async def failing(plan: Plan, repeats: int = 1) -> list[float]:
        raise DeviceLostError("as a test wants it")

    monkeypatch.setattr(executor.device, "profile", failing)
    prompt = [5, 6, 7] * 8
    with pytest.raises(DeviceLostError):
        await profile_together(executor, prompt, 2, 4, quick_bench(engine).repeated, BANDWIDTH)
    assert (executor.device.n_buffers, [*executor.plans.recorded]) == before


async def test_without_timestamps_it_says_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = engine.loaded.executor.device
    monkeypatch.setattr(device, "info", replace(device.info, features=frozenset()))
    bench = quick_bench(engine)
    assert await bench.profile((8,), (8,)) == []
    assert bench.skipped == [NO_TIMESTAMPS]


def test_a_clock_that_goes_backwards() -> None:
    assert durations(struct.pack("<6Q", 10, 15, 20, 20, 1 << 40, 30)) == [5, 0, 0]
