"""A ``Device`` without a GPU: it checks what it is asked to do and remembers it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from webllm_py.errors import DeviceLostError
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import (
    AdapterInfo,
    Buffer,
    Dispatch,
    Limits,
    Plan,
    checked_size,
)
from webllm_py.gpu.kernels import Kernel, Variant, compose


class FakeDevice:
    """Buffers are bytearrays; plans are recorded and replayed without computing anything."""

    def __init__(
        self, variant: Variant | None = None, limits: Limits | None = None, *, is_cpu: bool = False
    ):
        self.info = AdapterInfo("fake", "tests", "none", is_cpu=is_cpu)
        self.limits = limits or Limits()
        self.variant = variant or Variant()
        self.live: dict[Buffer, bytearray] = {}
        self.recorded: list[Dispatch] = []
        self.n_submits = 0
        self.lost: DeviceLostError | None = None

    @property
    def allocated(self) -> int:
        return sum(buffer.size for buffer in self.live)

    @property
    def n_buffers(self) -> int:
        return len(self.live)

    def create_buffer(self, label: str, size: int) -> Buffer:
        size = checked_size(label, size, self)
        buffer = Buffer(label, size, None)
        self.live[buffer] = bytearray(size)
        return buffer

    def write(self, buffer: Buffer, offset: int, data: Chunk) -> None:
        assert offset % 4 == 0 and offset + len(data) <= buffer.size
        self.live[buffer][offset : offset + len(data)] = data

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        assert size % 4 == 0
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        future.set_result(bytes(self.live[buffer][offset : offset + size]))
        return future

    def copy(self, source: Buffer, target: Buffer, size: int) -> None:
        self.live[target][:size] = self.live[source][:size]
        self.n_submits += 1

    def clear(self, buffer: Buffer) -> None:
        self.live[buffer][:] = bytes(buffer.size)

    def replace(self, buffer: Buffer, other: Buffer) -> None:
        self.live[buffer], buffer.size = self.live.pop(other), other.size

    def free(self, buffer: Buffer) -> None:
        self.live.pop(buffer, None)

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        for kernel in kernels:
            compose(kernel, self.variant)

    async def record(self, label: str, dispatches: Sequence[Dispatch]) -> Plan:
        await self.compile(dispatch.kernel for dispatch in dispatches)
        for dispatch in dispatches:
            shader = compose(dispatch.kernel, self.variant)
            shader.check_buffers(dispatch.kernel.name, dispatch.buffers)
            assert all(buffer in self.live for buffer in dispatch.buffers.values())
        self.recorded += dispatches
        return Plan(label, tuple(dispatches), list(dispatches))

    def drop(self, plan: Plan) -> None:
        plan.handle.clear()

    def replay(self, plan: Plan, times: int = 1) -> None:
        self.n_submits += times

    def replay_and_read(
        self, plan: Plan, times: int, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        self.replay(plan, times)
        return self.read(buffer, offset, size)

    def replay_in_parts(self, plan: Plan) -> None:
        self.replay(plan)

    async def profile(self, plan: Plan, repeats: int = 1) -> list[float]:
        return [0.0 for _ in plan.dispatches]

    @asynccontextmanager
    async def host_clock(self) -> AsyncIterator[Callable[[], float]]:
        yield time.thread_time

    async def idle(self) -> None:
        pass

    async def check(self) -> None:
        pass

    def close(self) -> None:
        self.live.clear()
