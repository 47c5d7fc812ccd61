"""What is compiled before weights keep Python busy, and what behind the first answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from fake_device import FakeDevice
from unloaded_models import executor_on

from webllm_py.errors import DeviceLostError, GPUOutOfMemoryError, ShaderError
from webllm_py.gpu.device import SUBGROUP_MATRICES
from webllm_py.gpu.kernels import Kernel, Variant
from webllm_py.loading import weights
from webllm_py.loading.decoder import fill
from webllm_py.runtime.executor import LONG_PROMPTS, Executor
from webllm_py.runtime.tuning.choices import Choices
from webllm_py.runtime.tuning.tuner import Tuner
from webllm_py.runtime.weights.progress import ProgressReporter

pytestmark = pytest.mark.asyncio


class SlowCompiler(FakeDevice):
    """Kernels are ready once ``ready`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[Kernel] = set()
        self.ready = asyncio.Event()
        self.broken = False

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        self.asked |= set(kernels)
        await self.ready.wait()
        if self.broken:
            raise ShaderError("no such function")


async def prepared(device: SlowCompiler) -> Executor:
    device.ready.set()
    executor = await executor_on(device)
    await executor.prepare()
    return executor


async def test_kernels_are_asked_for_before_they_are_ready() -> None:
    device = SlowCompiler()
    executor = await executor_on(device)
    asked = asyncio.Event()
    preparing = asyncio.ensure_future(executor.prepare(asked.set))
    async with asyncio.timeout(30):
        await asked.wait()
    assert not preparing.done()
    early = set(device.asked)
    device.ready.set()
    await preparing
    assert early == device.asked == executor.plans.kernels


async def test_kernels_are_asked_for_while_the_cache_waits_for_the_device() -> None:
    device = SlowCompiler()
    executor = await executor_on(device)
    made = asyncio.Event()
    device.check = made.wait  # type: ignore[assignment, method-assign]
    device.ready.set()
    asked = asyncio.Event()
    preparing = asyncio.ensure_future(executor.prepare(asked.set))
    async with asyncio.timeout(30):
        await asked.wait()
    assert device.asked and not preparing.done()
    made.set()
    await preparing
    assert executor.cache.pages.capacity


async def test_a_cache_without_room_ends_what_is_recorded() -> None:
    device = SlowCompiler()
    executor = await executor_on(device)

    async def no_room() -> None:
        raise GPUOutOfMemoryError("no room")

    device.check = no_room  # type: ignore[method-assign]
    with pytest.raises(GPUOutOfMemoryError):
        await executor.prepare()
    executor.owner.free_all()
    device.ready.set()
    await asyncio.sleep(0.01)
    assert not executor.plans.recorded and not device.live


async def test_long_prompts_and_steps_of_many_keys_come_behind() -> None:
    executor = await prepared(SlowCompiler())
    executor.fused_keys = 64  # this context is shorter than they are by default
    short = set(executor.plans.recorded)
    executor.prepare_behind()
    assert executor._behind
    await executor._behind
    added = {(name, rows) for _, name, rows in set(executor.plans.recorded) - short}
    prompts = {("forward", min(n, executor.chunk)) for n in LONG_PROMPTS}
    assert added == {("step", 1), *prompts}
    before = len(executor.device.recorded)  # type: ignore[attr-defined]
    for keys in (1, 64, 65, executor.context_length):
        await executor.decoder.step(1, keys)
    assert len(executor.device.recorded) == before, "no step waits"  # type: ignore[attr-defined]


async def test_closing_ends_what_goes_on_behind() -> None:
    device = SlowCompiler()
    executor = await prepared(device)
    device.ready.clear()
    executor.prepare_behind()
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await executor.close()
    device.ready.set()
    await asyncio.sleep(0)
    assert not executor.plans.recorded


async def test_what_fails_behind_is_left_to_the_request_that_needs_it() -> None:
    device = SlowCompiler()
    executor = await prepared(device)
    device.broken = True
    executor.prepare_behind()
    assert executor._behind
    await executor._behind
    with pytest.raises(ShaderError):
        await executor.forward_plan(executor.chunk)


class NoWeights:
    """In the place of a loader and of its checkpoint."""

    nbytes, waited = 0, 0.0

    async def compile(self) -> None:
        pass

    async def run(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        await meanwhile()

    async def verify(self) -> bool:
        return False


class SlowTrials(FakeDevice):
    """What is only tried is compiled when ``ready`` is set. Notes what is asked for, in order."""

    def __init__(self) -> None:
        super().__init__(Variant(f16=True, subgroups=32))
        self.info = replace(self.info, features=frozenset({SUBGROUP_MATRICES}))
        self.asked: list[str] = []
        self.ready = asyncio.Event()

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        names = [kernel.name for kernel in kernels]
        self.asked += names
        await asyncio.sleep(0.01)
        if "gemm_matrices" in names:
            await self.ready.wait()


async def test_only_tuning_waits_for_kernels_that_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are asked for behind those in use, before the tokenizer takes Python's time; the weights
    and the kernels of the first answer are there without them."""
    device = SlowTrials()
    tuner = Tuner(await executor_on(device), None)
    prepare_usual = tuner.prepare
    steps: list[str] = []

    async def prepare(*words: Any) -> None:
        await prepare_usual(*words)
        device.ready.set()

    async def finish() -> None:
        steps.append("tried" if device.ready.is_set() else "not compiled")
        raise DeviceLostError("enough")

    async def nothing_kept() -> Choices:
        return {}

    monkeypatch.setattr(tuner, "prepare", prepare)
    monkeypatch.setattr(tuner, "finish", finish)
    monkeypatch.setattr(tuner, "_compile", nothing_kept)
    monkeypatch.setattr(weights, "tokenizer_of", lambda *_: steps.extend(device.asked))
    nothing: Any = NoWeights()
    with pytest.raises(DeviceLostError):
        async with asyncio.timeout(30):
            await fill(tuner, nothing, nothing, ProgressReporter(None), nothing_kept())
    usual = {kernel.name for kernel in tuner.executor.plans.kernels}
    first = steps.index("gemm_matrices")
    assert usual <= set(steps[:first])
    assert steps[-1] == "tried"


async def load_nothing(prepare: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
    nothing: Any = NoWeights()
    await weights.load_weights(nothing, nothing, 8, ProgressReporter(None), prepare)


async def test_the_tokenizer_is_read_once_kernels_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading it takes Python's time: what compiles by itself is to compile meanwhile."""
    order: list[str] = []

    async def prepare(asked: Callable[[], None]) -> None:
        await asyncio.sleep(0.01)
        order.append("kernels")
        asked()

    monkeypatch.setattr(weights, "tokenizer_of", lambda *_: order.append("tokenizer"))
    await load_nothing(prepare)
    assert order == ["kernels", "tokenizer"]


async def test_kernels_that_cannot_be_asked_for_end_the_load() -> None:
    async def prepare(asked: Callable[[], None]) -> None:
        raise ShaderError("no such function")

    with pytest.raises(ShaderError):
        await load_nothing(prepare)
