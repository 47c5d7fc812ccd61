"""Compiled kernels: each is compiled once, also where several ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from webllm_py.gpu.kernels import Kernel

__all__ = ["Pipelines"]

Pipeline = TypeVar("Pipeline")


class Pipelines(Generic[Pipeline]):
    """A device's pipelines by kernel.

    Args:
        compile: makes one.
    """

    def __init__(self, compile: Callable[[Kernel], Awaitable[Pipeline]]):
        self._compile = compile
        self._made: dict[Kernel, Pipeline] = {}
        self._under_way: dict[Kernel, asyncio.Future[None]] = {}

    def __getitem__(self, kernel: Kernel) -> Pipeline:
        return self._made[kernel]

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        """Compile side by side what is not compiled yet, and wait for what is being compiled.

        When the caller is cancelled, others' kernels still come.
        """
        wanted = dict.fromkeys(kernel for kernel in kernels if kernel not in self._made)
        for kernel in wanted:
            if kernel not in self._under_way:
                making = asyncio.ensure_future(self._make(kernel))
                making.add_done_callback(lambda task: task.cancelled() or task.exception())
                self._under_way[kernel] = making
        waits = [asyncio.shield(self._under_way[kernel]) for kernel in wanted]
        await asyncio.gather(*waits)

    async def _make(self, kernel: Kernel) -> None:
        try:
            self._made[kernel] = await self._compile(kernel)
        finally:
            del self._under_way[kernel]

    def clear(self) -> None:
        """Forget them all."""
        for task in self._under_way.values():
            task.cancel()
        self._made.clear()
