"""``BrowserDevice``: see ``gpu.device.Device`` for what each of its methods does.

WebGPU objects stay in JavaScript (``replay.js``) behind integer ids; a plan is one call to replay.
"""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from pyodide.ffi import to_js

from webllm_py.errors import DeviceLostError
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.browser.capabilities import adapter_info, device_limits, kernel_variant
from webllm_py.gpu.browser.errors import lost_error, named_errors
from webllm_py.gpu.browser.host_clock import host_clock
from webllm_py.gpu.browser.readbacks import ReadBacks
from webllm_py.gpu.device import POOLED_BYTES, Buffer, Dispatch, Plan, checked_size
from webllm_py.gpu.kernels import Kernel, compose
from webllm_py.gpu.pipelines import Pipelines
from webllm_py.gpu.timestamps import durations

__all__ = ["BrowserDevice"]


class BrowserDevice:
    """The browser's WebGPU device as a ``Device``.

    Args:
        js: replay.js's ``GpuDevice``.
        f16, subgroups: whether kernels use these features, where the device has them.
    """

    def __init__(self, js: Any, *, f16: bool, subgroups: bool):
        about = js.describe().to_py()
        self.info = adapter_info(about)
        self.limits = device_limits(about["limits"])
        self.variant = kernel_variant(about, f16=f16, subgroups=subgroups)
        self._js = js
        self._live: dict[Buffer, None] = {}
        self._pipelines = Pipelines[int](self._compile, js.dropPipeline)
        self._reads = ReadBacks(js)
        self._read, self._replay_and_read = js.readTelling, js.replayTelling

    @property
    def allocated(self) -> int:
        return sum(buffer.size for buffer in self._live)

    @property
    def n_buffers(self) -> int:
        return len(self._live)

    @property
    def n_submits(self) -> int:
        return int(self._js.submits)

    @property
    def lost(self) -> DeviceLostError | None:
        return lost_error(str(self._js.lost)) if self._js.lost else None

    def create_buffer(self, label: str, size: int) -> Buffer:
        size = checked_size(label, size, self)
        with named_errors():
            buffer = Buffer(label, size, self._js.createBuffer(label, size))
        self._live[buffer] = None
        return buffer

    def write(self, buffer: Buffer, offset: int, data: Chunk) -> None:
        with named_errors():
            self._js.write(buffer.handle, offset, data)

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        return self._reads.begin(self._read, buffer.handle, offset, size, size <= POOLED_BYTES)

    def copy(self, source: Buffer, target: Buffer, size: int) -> None:
        with named_errors():
            self._js.copy(source.handle, target.handle, size)

    def clear(self, buffer: Buffer) -> None:
        with named_errors():
            self._js.clear(buffer.handle)

    def replace(self, buffer: Buffer, other: Buffer) -> None:
        self._js.replaceBuffer(buffer.handle, other.handle)
        del self._live[other]
        buffer.size = other.size

    def free(self, buffer: Buffer) -> None:
        if buffer in self._live:
            del self._live[buffer]
            self._js.destroyBuffer(buffer.handle)

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        await self._pipelines.compile(kernels)

    async def record(self, label: str, dispatches: Sequence[Dispatch]) -> Plan:
        words = array("i")
        async with self._pipelines.holding(dispatch.kernel for dispatch in dispatches) as made:
            for dispatch in dispatches:
                shader = compose(dispatch.kernel, self.variant)
                shader.check_buffers(dispatch.kernel.name, dispatch.buffers)
                words.extend((made[dispatch.kernel], *dispatch.groups, len(shader.bindings)))
                for binding in shader.bindings:
                    words.extend((binding.index, dispatch.buffers[binding.name].handle))
            return Plan(label, tuple(dispatches), self._js.record(words))

    def drop(self, plan: Plan) -> None:
        self._js.dropPlan(plan.handle)

    def replay(self, plan: Plan, times: int = 1) -> None:
        with named_errors():
            self._js.replay(plan.handle, times)

    def replay_and_read(
        self, plan: Plan, times: int, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        keep = size <= POOLED_BYTES
        return self._reads.begin(
            self._replay_and_read, plan.handle, times, buffer.handle, offset, size, keep
        )

    def replay_in_parts(self, plan: Plan) -> None:
        with named_errors():
            self._js.replayInParts(plan.handle)

    async def profile(self, plan: Plan, repeats: int = 1) -> list[float]:
        with named_errors():
            data = await self._js.profile(plan.handle, repeats)
        return [nanoseconds * 1e-9 / repeats for nanoseconds in durations(data.to_bytes())]

    async def time_plans(self, plans: Sequence[Plan]) -> list[float]:
        with named_errors():
            data = await self._js.timePlans(to_js([plan.handle for plan in plans]))
        return [nanoseconds * 1e-9 for nanoseconds in durations(data.to_bytes())]

    def host_clock(self) -> AbstractAsyncContextManager[Callable[[], float]]:
        return host_clock(lambda: self._reads.spent + float(self._js.clock.spent) / 1000)

    async def idle(self) -> None:
        with named_errors():
            await self._js.idle()

    async def check(self) -> None:
        with named_errors():
            await self._js.check()

    def close(self) -> None:
        self._js.close()
        self._reads.close()
        self._live.clear()
        self._pipelines.clear()

    async def _compile(self, kernel: Kernel) -> int:
        shader = compose(kernel, self.variant)
        access = " ".join(f"{b.index}{'w' if b.writable else 'r'}" for b in shader.bindings)
        with named_errors():
            return int(
                await self._js.compile(
                    kernel.name,
                    shader.text,
                    access,
                    to_js(list(shader.overrides)),
                    to_js(list(shader.overrides.values())),
                )
            )
