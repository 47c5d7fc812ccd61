"""Compiled kernels: each is compiled once, also where several ask for it at the same time."""

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
"""More than a model's plans and the trials of its kernels take. Each is 1.6 MB of machine code on a
CPU that plays a GPU, and a device outlives its models."""


class Pipelines(Generic[Pipeline]):
    """A device's pipelines by kernel. Those that nobody asked for the longest are forgotten; a plan
    keeps its own.

    Args:
        compile: makes one.
        forget: told of those that are no longer kept.
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
        """Compile side by side what is not compiled yet, and wait for what is being compiled.

        When the caller is cancelled, others' kernels still come.
        """
        async with self.holding(kernels):
            pass

    @asynccontextmanager
    async def holding(self, kernels: Iterable[Kernel]) -> AsyncIterator[Mapping[Kernel, Pipeline]]:
        """``compile``, and the pipelines; none of them is forgotten while this lasts."""
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
        """Forget them all."""
        for task in self._under_way.values():
            task.cancel()
        self._made.clear()
