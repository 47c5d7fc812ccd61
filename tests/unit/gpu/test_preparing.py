"""What is compiled before weights keep Python busy, and what behind the first answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from fake_device import FakeDevice
from unloaded_models import executor_on

from webllm_py.errors import ShaderError
from webllm_py.gpu.kernels import Kernel
from webllm_py.loading import weights
from webllm_py.runtime.executor import LONG_PROMPTS, Executor
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


async def test_long_prompts_come_behind() -> None:
    executor = await prepared(SlowCompiler())
    short = set(executor.plans.recorded)
    executor.prepare_behind()
    assert executor._behind
    await executor._behind
    added = set(executor.plans.recorded) - short
    assert {rows for _, _, rows in added} == {min(n, executor.chunk) for n in LONG_PROMPTS}


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
