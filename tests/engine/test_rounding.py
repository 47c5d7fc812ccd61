"""Decode steps whose activations are rounded to 8 bits: how far off, and when they are not."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import generation_logits, said
from family_files import write_family_folder
from family_models import FAMILY_MODELS
from k_quants import write_q4_k_m
from made_families import Recorded
from mixture_models import MIXTURES
from test_fidelity import Fidelity, divergence, load, measured

import webllm_py
from webllm_py import Engine
from webllm_py.checkpoint import open_checkpoint
from webllm_py.gpu import Device
from webllm_py.gpu.device import Dispatch
from webllm_py.gpu.kernels import Kernel
from webllm_py.models import gemv_layer, model_for
from webllm_py.models.workgroup_shapes import format_of, rounds
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning import rounding, tuner
from webllm_py.runtime.tuning.problems import problems_of
from webllm_py.runtime.tuning.sample import Sample, sample_of

Find = Callable[[str], Path]


async def round_all(engine: Engine) -> int:
    """Have every matrix that can be multiplied so; how many problems these are."""
    executor = engine.loaded.executor
    problems = problems_of(executor, rounding=True)
    chosen = {p.name: p.shapes[1] for p in problems if rounds(p.name, p.shapes[1])}
    await executor.retune(replace(executor.tuning, chosen=chosen))
    return len(chosen)


@pytest.mark.parametrize("name", ["tinystories-656k-q4", "pocket", "mixture-in-blocks"])
async def test_fidelity(name: str, checkpoint: Find, device: Device) -> None:
    """Less than what float16 may be off by, but more than it is. ``engine.logits`` stays exact."""
    async with await load(name, checkpoint, device, "f16") as engine:
        exact = await engine.logits([5, 6, 7])
        assert await round_all(engine) >= 4
        assert "decoding in 8 bits" in engine.info["kernels"]
        assert 1e-5 < await measured(engine, name) < 2e-3
        np.testing.assert_array_equal(exact, await engine.logits([5, 6, 7]))
        executor = engine.loaded.executor
        assert await rounding.rounds_right(executor, sample_of(executor.model))


@pytest.mark.parametrize("name", ["mixtral", "qwen2-moe", "qwen3-moe", "qwen3.5-moe", "phi"])
async def test_families(name: str, tmp_path: Path, device: Device) -> None:
    """What experts leave of mixtures; what has no gate, and a norm of another kind."""
    model, recorded = FAMILY_MODELS[name], Recorded.load(name)
    folder = write_family_folder(tmp_path / name, recorded, model.weights(recorded.shapes))
    tokens = model.tokens(1)
    async with await webllm_py.load(folder, device=device, quantize="q8", tune=False) as engine:
        executor = engine.loaded.executor
        assert await rounding.rounds_right(executor, sample_of(executor.model))
        exact = await engine.logits(tokens)
        assert await round_all(engine) >= 3
        names = [d.kernel.name for d in executor.forward(1)]
        seen = await generation_logits(engine, tokens, 40)
    floats = 2 if model in MIXTURES else 0  # their routers, in so many layers
    assert names.count("gemv_dot4") >= 5 and names.count("gemv") <= 2 * floats
    found = divergence(exact[39:], seen)
    print(f"{name}: mean KL {found:.1e} nats")
    # Of a few rows of made-up weights one that goes to another expert is a good part.
    assert 1e-5 < found < (1e-2 if model in MIXTURES else 2e-3)


@pytest.mark.parametrize(
    ("name", "matrix", "target"),
    [
        ("mistral", "blk.0.gate_up", "gated"),
        ("stablelm", "blk.0.gate_up", "gated"),
        ("lfm2-moe", "blk.0.gate_up", "gated"),
        ("starcoder2", "blk.0.ffn_up", "gated"),
        ("qwen2-moe", "blk.0.gate_up_shexp", "gated_beside"),
        ("granite4-moe", "blk.0.gate_up", "gated_beside"),
        ("mixtral", "blk.0.qkv", "q"),
        ("qwen3-moe", "blk.0.qkv", "qkv"),
        ("qwen3.5-moe", "blk.1.qkv", "qkv"),
    ],
)
async def test_what_is_tried(name: str, matrix: str, target: str, tmp_path: Path) -> None:
    model, recorded = FAMILY_MODELS[name], Recorded.load(name)
    folder = write_family_folder(tmp_path / name, recorded, model.weights(recorded.shapes))
    checkpoint = await open_checkpoint(folder)
    await checkpoint.close()
    sample = sample_of(model_for(checkpoint))
    assert ([each.name for each in sample.matrices], sample.target) == ([matrix], target)


@pytest.fixture
async def mixture(tmp_path: Path, device: Device) -> AsyncIterator[Engine]:
    """The pocket model in Q4_K_M."""
    source = await write_q4_k_m(tmp_path / "pocket.gguf")
    async with await webllm_py.load(source, device=device, tune=False) as engine:
        yield engine


async def test_fidelity_of_q4_k_m(mixture: Engine) -> None:
    """How far from itself in floats it is."""
    known = Fidelity.load("pocket")
    exact = await mixture.logits(known.ids)
    await round_all(mixture)
    assert mixture.loaded.executor.tuning.formats_rounding == {"q4_k", "q6_k", "q8_0"}
    first = int(known.positions[0])
    seen = await generation_logits(mixture, known.ids, first + 1)
    found = divergence(exact[known.positions], seen[known.positions - first])
    print(f"Q4_K_M: mean KL {found:.1e} nats")
    assert 1e-5 < found < 2e-3


async def test_each_format_is_checked(mixture: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is right in the first layer's matrix says nothing of others: here those of Q6_K, the
    output's, are off by more than they may be."""
    executor = mixture.loaded.executor
    problems = [p for p in problems_of(executor, rounding=True) if p.name.startswith("gemv")]

    async def allowed() -> dict[str, set[bool]]:
        check, answers = rounding.RoundingCheck(executor), dict[str, set[bool]]()
        for problem in problems:
            answer = await check.allows(problem, problem.shapes[1])
            answers.setdefault(format_of(problem.name), set()).add(answer)
        return answers

    assert await allowed() == {"q4_k": {True}, "q6_k": {True}, "q8_0": {True}}
    alike = rounding.alike

    async def off(
        executor: Executor, sample: Sample, plain: Dispatch, other: Dispatch
    ) -> bool | None:
        wrong = replace(other, buffers={**other.buffers, "scales": other.buffers["quants"]})
        made = wrong if plain.label == "token_embd" else other
        return await alike(executor, sample, plain, made)

    monkeypatch.setattr(rounding, "alike", off)
    assert await allowed() == {"q4_k": {True}, "q6_k": {False}, "q8_0": {True}}


async def test_the_check_finds_its_kernels_compiled(
    mixture: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it compiled itself would be taken off the little time that a load has for measuring."""
    executor = mixture.loaded.executor
    problems, ran = problems_of(executor, rounding=True), set[Kernel]()
    results_of = rounding.results_of

    async def seen(
        device: Device, name: str, dispatches: Sequence[Dispatch], *where: Any
    ) -> array[float]:
        ran.update(dispatch.kernel for dispatch in dispatches)
        return await results_of(device, name, dispatches, *where)

    monkeypatch.setattr(rounding, "results_of", seen)
    assert await rounding.rounds_right(executor, sample_of(executor.model))
    assert {kernel.name for kernel in ran} >= {"gemv_dot4", "round_rows", "gemv_rows_dot4"}
    assert ran <= set(rounding.rounding_kernels(executor, problems, {}))
    everything = {problem.name: problem.shapes[0] for problem in problems}
    assert not rounding.rounding_kernels(executor, problems, everything)


async def test_what_was_found_of_a_format_is_said_of_that_alone(
    mixture: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemv_layer, "LARGE", 1)
    executor = mixture.loaded.executor
    first, *_ = problems_of(executor, rounding=True)
    assert format_of(first.name) == "q4_k"
    await executor.retune(replace(executor.tuning, chosen={first.name: first.shapes[1]}))
    kernels = [d.kernel for d in executor.forward(1)]
    readers = {(k.name, dict(k.snippets)["quant"]) for k in kernels if "gemv" in k.name}
    assert readers == {
        ("gemv_dot4", "dot4/q4_k"),
        ("gemv", "quant/q6_k"),
        ("gemv", "quant/q8_0"),
    }


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


async def test_experts_are_checked(
    checkpoint: Find, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Themselves, as their kernel is another than that of the same format elsewhere."""
    async with await load("mixture-in-blocks", checkpoint, device, "f16", tune=False) as engine:
        executor = engine.loaded.executor
        problems = [p for p in problems_of(executor, rounding=True) if "experts" in p.name]
        assert len(problems) == 2
        check = rounding.RoundingCheck(executor)
        assert all([await check.allows(problem, problem.shapes[1]) for problem in problems])
        agree = rounding.agree

        async def off(executor: Executor, plain: Dispatch, other: Dispatch) -> bool:
            wrong = {**other.buffers, "scales": other.buffers["quants"]}
            return await agree(executor, plain, replace(other, buffers=wrong))

        monkeypatch.setattr(rounding, "agree", off)
        assert not any([await check.allows(problem, problem.shapes[1]) for problem in problems])


async def test_a_mixtures_answers_decoded_together(checkpoint: Find, device: Device) -> None:
    """As above; experts are read for each."""
    async with await load("mixture-in-blocks", checkpoint, device, "f16", tune=False) as engine:
        asked = [{"prompt": [256, i, 7], "max_tokens": 16} for i in (3, 60, 99, 120)]
        floats = [await said(engine, **fields) for fields in asked]
        await round_all(engine)
        alone = [await said(engine, **fields) for fields in asked]
        assert await asyncio.gather(*(said(engine, **fields) for fields in asked)) == alone
    assert alone != floats, "something is rounded"


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


async def test_a_mixture_of_experts(
    checkpoint: Find, device: Device, offered: pytest.MonkeyPatch
) -> None:
    """A load finds one of its matrices faster in 8 bits; others of the format are rounded too,
    experts as well."""
    offered.setattr(gemv_layer, "LARGE", 1)
    async with await load("mixture-in-blocks", checkpoint, device, "f16", tune=True) as engine:
        assert "decoding in 8 bits" in engine.info["kernels"]
        dispatches = engine.loaded.executor.forward(1)
    rounding = {d.label.rpartition(".")[2] for d in dispatches if d.kernel.name == "gemv_dot4"}
    assert rounding == {"gate_up_shexp", "ffn_down_shexp", "qkv", "attn_output"}
    words = [dict(d.kernel.snippets) for d in dispatches if d.kernel.name == "expert_gemv"]
    assert {(each["product"], each["quant"]) for each in words} == {
        ("experts/rounded", "dot4/q4_0")
    }


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
    monkeypatch.setattr(gemv_layer, "LARGE", 1)
    async with await webllm_py.load(device=device, tune=False) as engine:
        executor = engine.loaded.executor
        first, *_ = problems_of(executor, rounding=True)
        await executor.retune(replace(executor.tuning, chosen={first.name: first.shapes[1]}))
        step = executor.graph(1).tuning
        assert step.rounds and not executor.graph(1, kv_format="f32").tuning.rounds
        names = {d.kernel.name for d in executor.forward(1)}
        assert "gemv_dot4" in names and "gemv" not in names
