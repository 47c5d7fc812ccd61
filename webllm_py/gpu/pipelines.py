"""Compiled kernels: each is compiled once, even if it is asked for several times at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from webllm_py.gpu.kernels import Kernel

__all__ = ["Pipelines"]

Pipeline = TypeVar("Pipeline")

MOST_KEPT = 256
"""More than a model's plans and its tuning take. Each is 1.6 MB of machine code on a software
adapter, and a device outlives its models."""


class Pipelines(Generic[Pipeline]):
    """A device's pipelines by kernel: a cache that evicts the least recently used ones. Plans keep
    their own.

    Args:
        compile: compiles a kernel.
        forget: called with each pipeline that is evicted.
        most: how many are kept.
    """

    def __init__(
        self,
        compile: Callable[[Kernel], Awaitable[Pipeline]],
        forget: Callable[[Pipeline], object] = lambda _: None,
        most: int = MOST_KEPT,
    ):
        self._compile = compile
        self._forget = forget
        self._most = most
        self._made: dict[Kernel, Pipeline] = {}  # the last asked for at the end
        self._under_way: dict[Kernel, asyncio.Future[None]] = {}
        self._held = Counter[Kernel]()

    def __len__(self) -> int:
        return len(self._made)

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        """Compile concurrently what is not compiled yet, and wait for what is being compiled.

        Cancelling one caller does not cancel kernels that others wait for.
        """
        async with self.holding(kernels):
            pass

    @asynccontextmanager
    async def holding(self, kernels: Iterable[Kernel]) -> AsyncIterator[Mapping[Kernel, Pipeline]]:
        """``compile``, then the pipelines by kernel; none of these is evicted while this lasts."""
        wanted = list(dict.fromkeys(kernels))
        self._held.update(wanted)
        try:
            for kernel in wanted:
                if kernel in self._made:
                    self._made[kernel] = self._made.pop(kernel)
                elif kernel not in self._under_way:
                    making = asyncio.ensure_future(self._make(kernel))
                    making.add_done_callback(lambda task: task.cancelled() or task.exception())
                    self._under_way[kernel] = making
            waits = [self._under_way[kernel] for kernel in wanted if kernel not in self._made]
            await asyncio.gather(*map(asyncio.shield, waits))
            yield self._made
        finally:
            self._held -= Counter(wanted)
            self._forget_oldest()

    async def _make(self, kernel: Kernel) -> None:
        try:
            self._made[kernel] = await self._compile(kernel)
        finally:
            del self._under_way[kernel]

    def _forget_oldest(self) -> None:
        if (excess := len(self._made) - self._most) > 0:
            idle = [kernel for kernel in self._made if kernel not in self._held]
            for kernel in idle[:excess]:
                self._forget(self._made.pop(kernel))

    def clear(self) -> None:
        """Forget all pipelines, and cancel compiling."""
        for task in self._under_way.values():
            task.cancel()
        self._made.clear()
