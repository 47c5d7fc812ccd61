"""Compiled kernels: once each, whoever asks, and whatever becomes of who asked first."""

from __future__ import annotations

import asyncio

import pytest

from webllm_py.errors import ShaderError
from webllm_py.gpu.kernels import Kernel, kernel
from webllm_py.gpu.pipelines import Pipelines

ONE, TWO, BAD = kernel("one"), kernel("two"), kernel("bad")


class Compiler:
    """Compiles when it is told to, and remembers what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, kernel: Kernel) -> str:
        self.asked.append(kernel.name)
        await self.go.wait()
        if kernel == BAD:
            raise ShaderError("it did not compile")
        return kernel.name.upper()


async def turns() -> None:
    """Of the event loop: everybody has asked."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_each_is_compiled_once() -> None:
    compiler = Compiler()
    pipelines = Pipelines[str](compiler)
    asking = [
        asyncio.create_task(pipelines.compile(kernels))
        for kernels in ([ONE, ONE], [ONE, TWO], [TWO])
    ]
    await turns()
    assert sorted(compiler.asked) == ["one", "two"], "side by side"
    compiler.go.set()
    await asyncio.gather(*asking)
    async with pipelines.holding([ONE, TWO]) as made:
        assert (made[ONE], made[TWO]) == ("ONE", "TWO")
    assert len(compiler.asked) == 2


async def test_one_who_is_cancelled_does_not_stop_the_others() -> None:
    compiler = Compiler()
    pipelines = Pipelines[str](compiler)
    first, second = (asyncio.create_task(pipelines.compile([ONE])) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    compiler.go.set()
    await second
    async with pipelines.holding([ONE]) as made:
        assert made[ONE] == "ONE"
    assert compiler.asked == ["one"]


async def test_a_failure_is_told_to_all_and_tried_again() -> None:
    compiler = Compiler()
    compiler.go.set()
    pipelines = Pipelines[str](compiler)
    told = await asyncio.gather(
        pipelines.compile([BAD, ONE]), pipelines.compile([BAD]), return_exceptions=True
    )
    assert [type(error) for error in told] == [ShaderError, ShaderError]
    with pytest.raises(ShaderError):
        await pipelines.compile([BAD])
    assert compiler.asked.count("bad") == 2
    assert len(pipelines) == 1


async def test_those_that_nobody_asked_for_the_longest_are_forgotten() -> None:
    compiler = Compiler()
    compiler.go.set()
    forgotten: list[str] = []
    pipelines = Pipelines[str](compiler, forgotten.append, most=3)
    numbered = [kernel(str(i)) for i in range(6)]
    await pipelines.compile(numbered[:3])
    await pipelines.compile(numbered[:1])
    await pipelines.compile(numbered[3:4])
    assert forgotten == ["1"] and len(pipelines) == 3
    await pipelines.compile(numbered[:1])
    assert compiler.asked == ["0", "1", "2", "3"]
    await pipelines.compile(numbered[1:2])
    assert compiler.asked[-1] == "1" and forgotten == ["1", "2"]


async def test_none_is_forgotten_that_a_plan_is_being_made_of() -> None:
    compiler = Compiler()
    compiler.go.set()
    forgotten: list[str] = []
    pipelines = Pipelines[str](compiler, forgotten.append, most=1)
    async with pipelines.holding([ONE]) as one:
        async with pipelines.holding([ONE, TWO]) as both:
            assert (both[ONE], both[TWO]) == ("ONE", "TWO")
        assert one[ONE] == "ONE" and forgotten == ["TWO"]
    assert len(pipelines) == 1
