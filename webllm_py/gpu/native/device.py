"""``NativeDevice``: see ``gpu.device.Device`` for what each of its methods does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import wgpu

from webllm_py.errors import DeviceLostError
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import Buffer, Dispatch, Plan, checked_size
from webllm_py.gpu.kernels import Kernel
from webllm_py.gpu.native.capabilities import adapter_info, device_limits, kernel_variant
from webllm_py.gpu.native.encoding import (
    Step,
    encode_steps,
    encode_timed_passes,
    timestamp_period,
)
from webllm_py.gpu.native.errors import ErrorTranslator
from webllm_py.gpu.native.readbacks import ReadBacks
from webllm_py.gpu.native.shaders import Shaders
from webllm_py.gpu.pipelines import Pipelines
from webllm_py.gpu.timestamps import durations

__all__ = ["NativeDevice"]

STORAGE = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.COPY_SRC
STAGING = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
# wgpu-native copies each writeBuffer through a staging buffer of the same size.
WRITE_PIECE = 16 << 20
# Each submit has a fixed cost, but the GPU starts only when all of it is encoded.
REPLAYS_PER_SUBMIT = 4


class NativeDevice:
    """A wgpu device as a ``Device``.

    Args:
        adapter, device: wgpu-py's.
        f16, subgroups: whether kernels use these features, where the device has them.
    """

    def __init__(self, adapter: Any, device: Any, *, f16: bool, subgroups: bool):
        self.info = adapter_info(adapter, device)
        self.limits = device_limits(device)
        self.variant = kernel_variant(adapter, device, f16=f16, subgroups=subgroups)
        self._device = device
        self._queue = device.queue
        self._live: set[Buffer] = set()
        self._plans: dict[Plan, set[Buffer]] = {}  # with buffers that are others now
        self._shaders = Shaders(device, self.variant)
        self._pipelines = Pipelines[Any](self._compile)
        self._errors = ErrorTranslator(lambda: self.allocated)
        self._reads = ReadBacks(self._make_staging, self._pulse, self._errors.translating)
        self._n_submits = 0
        self._fence = Buffer("fence", 4, device.create_buffer(size=4, usage=STORAGE))

    @property
    def allocated(self) -> int:
        return sum(buffer.size for buffer in self._live)

    @property
    def n_buffers(self) -> int:
        return len(self._live)

    @property
    def n_submits(self) -> int:
        return self._n_submits

    @property
    def lost(self) -> DeviceLostError | None:
        return self._errors.lost

    def create_buffer(self, label: str, size: int) -> Buffer:
        size = checked_size(label, size, self)
        with self._errors.translating(f"'{label}' ({size >> 20} MiB)"):
            handle = self._device.create_buffer(label=label, size=size, usage=STORAGE)
        buffer = Buffer(label, size, handle)
        self._live.add(buffer)
        return buffer

    def write(self, buffer: Buffer, offset: int, data: Chunk) -> None:
        view = memoryview(data).cast("B")
        whole = len(view) & ~3
        with self._errors.translating(f"writing {len(view):,} bytes"):
            for start in range(0, whole, WRITE_PIECE):
                piece = view[start : min(whole, start + WRITE_PIECE)]
                self._queue.write_buffer(buffer.handle, offset + start, piece)
            if rest := view[whole:]:
                last = bytes(rest).ljust(4, b"\0")
                self._queue.write_buffer(buffer.handle, offset + whole, last)

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        with self._errors.translating(f"reading {size:,} bytes"):
            encoder = self._device.create_command_encoder()
            return self._submit_and_read(encoder, buffer, offset, size)

    def copy(self, source: Buffer, target: Buffer, size: int) -> None:
        with self._errors.translating(f"copying {size:,} bytes"):
            encoder = self._device.create_command_encoder()
            encoder.copy_buffer_to_buffer(source.handle, 0, target.handle, 0, size)
            self._submit(encoder)

    def clear(self, buffer: Buffer) -> None:
        with self._errors.translating(f"clearing '{buffer.label}'"):
            encoder = self._device.create_command_encoder()
            encoder.clear_buffer(buffer.handle)
            self._submit(encoder)

    def replace(self, buffer: Buffer, other: Buffer) -> None:
        self._live.discard(other)
        buffer.handle.destroy()
        buffer.handle, buffer.size = other.handle, other.size
        for replaced in self._plans.values():
            replaced.add(buffer)

    def free(self, buffer: Buffer) -> None:
        if buffer in self._live:
            self._live.discard(buffer)
            buffer.handle.destroy()

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        await self._pipelines.compile(kernels)

    async def record(self, label: str, dispatches: Sequence[Dispatch]) -> Plan:
        async with self._pipelines.holding(d.kernel for d in dispatches) as made:
            with self._errors.translating(f"the plan '{label}'"):
                steps = [(made[d.kernel], self._shaders.bind(d), d.groups) for d in dispatches]
        plan = Plan(label, tuple(dispatches), steps)
        self._plans[plan] = set()
        return plan

    def _steps(self, plan: Plan) -> list[Step]:
        """A plan's steps, with the buffers as they are."""
        steps: list[Step] = plan.handle
        if replaced := self._plans.get(plan):
            for i, dispatch in enumerate(plan.dispatches):
                if not replaced.isdisjoint(dispatch.buffers.values()):
                    pipeline, _, groups = steps[i]
                    steps[i] = (pipeline, self._shaders.bind(dispatch), groups)
            replaced.clear()
        return steps

    def drop(self, plan: Plan) -> None:
        self._plans.pop(plan, None)
        plan.handle.clear()

    def replay(self, plan: Plan, times: int = 1) -> None:
        with self._errors.translating(f"the plan '{plan.label}'"):
            for done in range(0, times, REPLAYS_PER_SUBMIT):
                self._submit(self._encoded(plan, min(REPLAYS_PER_SUBMIT, times - done)))

    def replay_and_read(
        self, plan: Plan, times: int, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        # The last submit reads as well: one of its own would cost half as much as a step.
        last = (times - 1) % REPLAYS_PER_SUBMIT + 1
        self.replay(plan, times - last)
        with self._errors.translating(f"the plan '{plan.label}' and reading {size:,} bytes"):
            return self._submit_and_read(self._encoded(plan, last), buffer, offset, size)

    def replay_in_parts(self, plan: Plan) -> None:
        self.replay(plan)  # parts would gain nothing: while Python runs, no read-back is told

    async def profile(self, plan: Plan, repeats: int = 1) -> list[float]:
        seconds = await self._timed([[step] for step in self._steps(plan)], repeats)
        return [of_all / repeats for of_all in seconds]

    async def time_plans(self, plans: Sequence[Plan]) -> list[float]:
        return await self._timed([self._steps(plan) for plan in plans])

    async def _timed(self, passes: Sequence[Sequence[Step]], repeats: int = 1) -> list[float]:
        with self._errors.translating("timing kernels"):
            ticks, encoder = encode_timed_passes(self._device, passes, repeats)
            self._submit(encoder)
        try:
            data = await self.read(ticks, 0, ticks.size)
        finally:
            ticks.handle.destroy()
        period = timestamp_period(self._queue)
        return [n * period for n in durations(data)]

    @asynccontextmanager
    async def host_clock(self) -> AsyncIterator[Callable[[], float]]:
        # CPU time, not wall time: a submit sleeps while the driver's queue is full.
        yield time.thread_time

    async def idle(self) -> None:
        # wgpu-py 0.32's on_submitted_work_done_async does not work, but a read-back waits too.
        await self.read(self._fence, 0, 4)

    async def check(self) -> None:
        self._errors.raise_if_lost()

    def close(self) -> None:
        lost = self._errors.lost = self._errors.lost or DeviceLostError("the device was closed")
        self._reads.fail(lost)
        self._reads.close()
        for buffer in tuple(self._live):
            self.free(buffer)
        self._plans.clear()
        self._pipelines.clear()
        self._shaders.close()
        self._device.destroy()

    async def _compile(self, kernel: Kernel) -> Any:
        # wgpu-native releases the GIL while it compiles: threads do compile side by side.
        return await asyncio.to_thread(self._shaders.compile, kernel)

    def _encoded(self, plan: Plan, times: int) -> Any:
        steps = self._steps(plan)
        encoder = self._device.create_command_encoder()
        compute = encoder.begin_compute_pass()
        for _ in range(times):
            encode_steps(compute, steps)
        compute.end()
        return encoder

    def _submit(self, encoder: Any) -> None:
        self._queue.submit([encoder.finish()])
        self._n_submits += 1

    def _submit_and_read(
        self, encoder: Any, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        """Submit what is encoded, with a copy of the bytes as they are after it."""
        staging = self._reads.staging(size)
        encoder.copy_buffer_to_buffer(buffer.handle, offset, staging, 0, size)
        self._submit(encoder)
        return self._reads.wait(staging, size)

    def _make_staging(self, size: int) -> Any:
        return self._device.create_buffer(size=size, usage=STAGING)

    def _pulse(self) -> None:
        # If the device is lost, wgpu-native raises here; in a submit or a mapping it would abort.
        with self._errors.translating("an empty command buffer"):
            commands = self._device.create_command_encoder().finish()
        # A command buffer that is dropped unsubmitted leaks the memory of a submitted one.
        self._queue.submit([commands])
