"""LoRA adapters beside a model's weights, against PEFT over transformers in float32."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import PRINTABLE_ONLY, Teacher, said
from expected import Expected
from family_files import write_family_folder, write_family_gguf
from family_models import FamilyModel, Recorded
from made_adapters import ADAPTERS, MIX, MadeAdapter, RecordedAdapter, small_gguf
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import Engine, StateError
from webllm_py.gpu import Device
from webllm_py.runtime import executor

TOLERANCE = 5e-5  # the issue asks for 2e-3
FAMILIES = [adapter for adapter in ADAPTERS.values() if isinstance(adapter.base, FamilyModel)]


@pytest.fixture(autouse=True)
def few_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernels are compiled for prompts that nobody sends."""
    monkeypatch.setattr(executor, "USUAL_PROMPTS", ())


@pytest.mark.parametrize("adapter", FAMILIES, ids=lambda adapter: adapter.name)
async def test_families(adapter: MadeAdapter, tmp_path: Path, plain_device: Device) -> None:
    """PEFT's folder beside Hugging Face's files and beside GGUF's."""
    recorded, base = RecordedAdapter.load(adapter.name), adapter.base
    assert isinstance(base, FamilyModel)
    model = Recorded.load(base.name)
    weights = base.weights(model.shapes)
    folder = recorded.folder(tmp_path / "adapter", adapter)
    files = [write_family_folder(tmp_path / base.name, model, weights)]
    if base.gguf:
        files.append(write_family_gguf(tmp_path / "model.gguf", base, model, weights))
    for file in files:
        async with await webllm_py.load(
            file, device=plain_device, kv_dtype="f32", context_length=base.context, tune=False
        ) as engine:
            await engine.load_adapter(folder)
            logits = await engine.logits(adapter.tokens(), adapters=["adapter"])
        error = recorded.expected.error(logits)
        print(f"{adapter.name}, {file.name}: {error:.1e}")
        assert error < TOLERANCE


def of_small(name: str, folder: Path) -> Path:
    """PEFT's folder of an adapter of the small model."""
    return RecordedAdapter.load(name).folder(folder / name, ADAPTERS[name])


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Those of the small model."""
    folder = tmp_path_factory.mktemp("adapters")
    return {name: of_small(name, folder) for name in MIX}


@pytest.fixture(scope="module")
async def adapted(
    files: Files, plain_device: Device, adapters: dict[str, Path]
) -> AsyncIterator[Engine]:
    """The small model in float32 with two adapters."""
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        for folder in adapters.values():
            await engine.load_adapter(folder)
        yield engine


TOKENS = ADAPTERS["small-plain"].tokens()


async def test_each_and_both(adapted: Engine, files: Files, plain_device: Device) -> None:
    """Ragged ranks and scales, swapped between calls; without any the model is what it was."""
    for name in (*MIX, *MIX):
        expected = RecordedAdapter.load(name).expected
        tokens = ADAPTERS[name].tokens()
        assert expected.error(await adapted.logits(tokens, adapters=[name])) < TOLERANCE
    mixed, _ = Expected.load("lora-mixed")
    assert mixed.error(await adapted.logits(TOKENS, adapters=MIX)) < TOLERANCE
    plain = await adapted.logits(TOKENS)
    nothing = await adapted.logits(TOKENS, adapters=dict.fromkeys(MIX, 0.0))
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        assert (await engine.logits(TOKENS) == plain).all() and (plain == nothing).all()


@pytest.mark.parametrize("chunk", [128, 32])
async def test_generation(
    adapted: Engine, adapters: dict[str, Path], files: Files, plain_device: Device, chunk: int
) -> None:
    """Logits as generation sees them: the prompt in chunks or a few rows, then token by token."""
    expected = RecordedAdapter.load("small-patterns").expected
    for prompt in (chunk // 4, 5):
        teacher = Teacher([*TOKENS[prompt:], 0])
        await adapted.completions.create(
            prompt=TOKENS[:prompt],
            max_tokens=len(TOKENS) - prompt + 1,
            temperature=0,
            ignore_eos=True,
            logits_processors=[teacher],
            adapters=["small-patterns"],
        )
        assert expected.error(np.array(teacher.seen), first=prompt - 1) < TOLERANCE


REQUESTS: tuple[dict[str, Any], ...] = (
    {"adapters": ["small-plain"]},
    {},
    {"model": "small-patterns"},
    {"adapters": MIX},
    {"lora": [{"id": 1, "scale": 0.25}]},
)


async def test_different_ones_in_one_batch(adapted: Engine) -> None:
    """Requests that are decoded together get what each gets alone, which differs."""
    alone = [await said(adapted, "One", n=1, **request) for request in REQUESTS]
    assert len(set(alone)) == len(alone)
    for _ in range(2):
        together = await asyncio.gather(*[said(adapted, "One", **one) for one in REQUESTS])
        assert together == alone


async def test_several_answers_and_guesses(adapted: Engine) -> None:
    fields = {"adapters": ["small-plain"], "max_tokens": 60}
    once = await said(adapted, "Again and again", prompt_lookup=False, **fields)
    assert await said(adapted, "Again and again", **fields) == once
    reply = await adapted.completions.create(
        prompt="Again and again",
        temperature=0,
        n=3,
        logit_bias=PRINTABLE_ONLY,
        **fields,
    )
    assert [choice.text for choice in reply.choices] == [once] * 3


async def test_prefixes_are_of_the_same_adapters(adapted: Engine) -> None:
    """What is cached with one is nobody's prefix with another, at another scale, or without."""
    prompt = TOKENS[:40]

    async def cached(**fields: Any) -> int:
        reply = await adapted.completions.create(prompt=prompt, max_tokens=3, **fields)
        return int(reply.usage.prompt_tokens_details.cached_tokens)

    adapted.loaded.executor.cache.pages.clear()
    requests = [*REQUESTS, {"adapters": {"small-plain": 0.5}}]
    assert [await cached(**request) for request in requests] == [0] * len(requests)
    assert all([await cached(**request) for request in requests])
    assert await cached(model="small-plain") and await cached(adapters={"small-plain": 0})


async def test_states_remember_their_adapters(
    adapted: Engine, adapters: dict[str, Path], files: Files, plain_device: Device
) -> None:
    said_first = await said(adapted, "A state", adapters=MIX)
    state = await adapted.save_state()
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        with pytest.raises(StateError, match="adapters that this engine has not loaded"):
            await engine.load_state(state)
        for name in reversed(MIX):
            await engine.load_adapter(adapters[name], name=name)
        await engine.load_state(state)
        reply = await engine.completions.create(prompt="A state" + said_first, adapters=MIX)
        assert reply.usage.prompt_tokens_details.cached_tokens > 30
        reply = await engine.completions.create(prompt="A state" + said_first)
        assert reply.usage.prompt_tokens_details.cached_tokens == 0


async def test_memory_and_plans(
    files: Files, plain_device: Device, adapters: dict[str, Path]
) -> None:
    """Unloading frees what loading took, in any order; plans without adapters are never made
    anew, and those with them have one dispatch more for each matrix that has some."""
    device = plain_device
    async with await webllm_py.load(files.huggingface(SMALL), device=device, tune=False) as engine:
        executor = engine.loaded.executor
        await said(engine)
        plans = dict(executor._plans)
        await engine.load_adapter(adapters["small-plain"], name="first")
        await engine.unload_adapter("first")
        empty = device.n_buffers, device.allocated
        for order in (("a", "b"), ("b", "a")):
            one = await engine.load_adapter(adapters["small-plain"], name="a")
            between = device.n_buffers, device.allocated
            assert engine.info["gpu_memory"] == engine.loaded.owner.nbytes
            assert device.allocated - empty[1] > 4 * one.n_parameters
            await engine.load_adapter(adapters["small-patterns"], name="b")
            first = await said(engine, adapters=["a"]), await said(engine, adapters=["b"])
            kept = await said(engine, adapters=[order[1]])
            await engine.unload_adapter(order[0])
            assert list(engine.adapters) == [order[1]]
            assert await said(engine, adapters=[order[1]]) == kept
            assert first[0] != first[1]
            if order[0] == "b":
                assert (device.n_buffers, device.allocated) == between
            await engine.unload_adapter(order[1])
            assert (device.n_buffers, device.allocated) == empty
        assert dict(executor._plans) == plans
        await engine.load_adapter(adapters["small-plain"], name="a")
        counts = [len(executor.forward(1, adapted=wanted)) for wanted in (False, True)]
        assert counts[1] - counts[0] == 4 * SMALL.layers


async def test_ggufs_own(tmp_path: Path, files: Files, plain_device: Device) -> None:
    """llama.cpp's file, whose q and k are reordered, beside both kinds of model."""
    adapter, recorded = ADAPTERS["small-plain"], RecordedAdapter.load("small-plain")
    file = small_gguf(tmp_path / "adapter.gguf", adapter, recorded)
    for model in (files.gguf(SMALL), files.huggingface(SMALL)):
        async with await webllm_py.load(
            model, device=plain_device, kv_dtype="f32", tune=False
        ) as engine:
            found = await engine.load_adapter(file)
            assert (found.name, found.rank, found.modules) == ("small-plain", 8, 14)
            logits = await engine.logits(TOKENS, adapters=["small-plain"])
            assert recorded.expected.error(logits) < TOLERANCE
