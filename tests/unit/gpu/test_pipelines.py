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


async def test_each_is_compiled_once() -> None:
    compiler = Compiler()
    pipelines = Pipelines[str](compiler)
    asking = [
        asyncio.create_task(pipelines.compile(kernels))
        for kernels in ([ONE, ONE], [ONE, TWO], [TWO])
    ]
    await asyncio.sleep(0.01)
    assert sorted(compiler.asked) == ["one", "two"], "side by side"
    compiler.go.set()
    await asyncio.gather(*asking)
    await pipelines.compile([ONE, TWO])
    assert (pipelines[ONE], pipelines[TWO]) == ("ONE", "TWO")
    assert len(compiler.asked) == 2


async def test_one_who_is_cancelled_does_not_stop_the_others() -> None:
    compiler = Compiler()
    pipelines = Pipelines[str](compiler)
    first, second = (asyncio.create_task(pipelines.compile([ONE])) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    compiler.go.set()
    await second
    assert pipelines[ONE] == "ONE" and compiler.asked == ["one"]


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
    with pytest.raises(KeyError):
        pipelines[BAD]
