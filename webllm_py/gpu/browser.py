"""The ``Device`` over the browser's own WebGPU, for Pyodide.

WebGPU objects stay in JavaScript (``replay.js``) behind integer ids; a plan is one call to replay.
Where waiting for the GPU is slow of itself, ``nudge.js`` helps.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

from pyodide.ffi import JsException, can_run_sync, create_proxy, run_sync, to_js

from webllm_py.errors import (
    DeviceError,
    DeviceLostError,
    GPUOutOfMemoryError,
    NoAdapterError,
    ShaderError,
    WebLLMError,
)
from webllm_py.fetch.browser import load_script
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import (
    POOLED_BYTES,
    AdapterInfo,
    Buffer,
    Device,
    Dispatch,
    Limits,
    Plan,
    checked_size,
)
from webllm_py.gpu.kernels import Kernel, Variant, compose
from webllm_py.gpu.pipelines import Pipelines
from webllm_py.gpu.timestamps import durations
from webllm_py.waking import WakingFuture

__all__ = ["BrowserDevice", "can_suspend", "open_browser", "suspend"]

WHAT_TO_DO = (
    "Use Chrome or Edge 113 or newer (Android: 121), Safari 26, or Firefox 141 on Windows and 145 "
    "on macOS, on a page served over https or from localhost; on Linux start Chrome with "
    "--enable-unsafe-webgpu --enable-features=Vulkan, and see chrome://gpu."
)


async def open_browser(
    *, f16: bool = True, subgroups: bool = True, power_preference: str = "high-performance"
) -> Device:
    """Open the browser's GPU. Arguments and errors are those of ``gpu.native.open_native``."""
    with named_errors():
        names = ("host_clock", "nudge", "readbacks", "shaders")
        bridge = load_script("gpu/replay.js")(*(load_script(f"gpu/{name}.js") for name in names))
        return BrowserDevice(await bridge.open(power_preference), f16=f16, subgroups=subgroups)


def can_suspend() -> bool:
    """Whether Python, as it was entered just now, can wait without an ``await``."""
    return bool(can_run_sync())


def suspend(work: Awaitable[Any]) -> Any:
    """The result of ``work``; the page goes on meanwhile."""
    return run_sync(work)


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn errors that JavaScript threw into this package's own."""
    try:
        yield
    except JsException as error:
        raise translated(error) from error


def lost_error(reason: str) -> DeviceLostError:
    """The error of a device that is gone."""
    return DeviceLostError(
        f"the GPU device was lost ({reason}). Engine.recover() starts again; if it happens often, "
        "use a smaller model or a smaller context_length"
    )


def translated(error: Any) -> WebLLMError:
    """This package's error for one of replay.js."""
    message = str(error.message)
    match error.name:
        case "NoAdapter":
            return NoAdapterError(f"{message}. {WHAT_TO_DO}")
        case "ShaderError":
            return ShaderError(message)
        case "DeviceLost":
            return lost_error(message)
        case "OutOfMemory":
            memory = GPUOutOfMemoryError(
                f"no GPU memory for {message}; close other tabs that use the GPU, or use a smaller "
                "model or a smaller context_length"
            )
            memory.nbytes = int(getattr(error, "nbytes", 0))
            return memory
        case _:
            return DeviceError(f"{error.name}: {message}")


class ReadBacks:
    """Read-backs under way. JavaScript tells their ends by number, in one call each.

    Awaiting its promises instead would take a task, and several turns of the event loop.
    """

    def __init__(self, js: Any):
        self.worked = 0.0
        self.since: float | None = None
        self._waiting: dict[int, WakingFuture[bytes]] = {}
        self._numbers = count()
        self._proxies = [create_proxy(self._take), create_proxy(self._fail)]
        js.readBacks.hear(*self._proxies)

    def begin(self, start: Callable[..., None], *arguments: Any) -> asyncio.Future[bytes]:
        """The bytes that a method of replay.js will tell."""
        reading: WakingFuture[bytes] = WakingFuture(asyncio.get_running_loop())
        number = next(self._numbers)
        self._waiting[number] = reading
        try:
            start(number, *arguments)
        except JsException as error:
            self._fail(number, error)
        return reading

    def close(self) -> None:
        """End everything that waits: JavaScript will tell nothing any more."""
        for reading in self._waiting.values():
            if not reading.done():
                reading.set_exception(lost_error("closed: the engine was unloaded"))
        self._waiting.clear()
        for proxy in self._proxies:
            proxy.destroy()

    def _take(self, number: int, data: Any) -> None:
        self.since = time.perf_counter()
        reading = self._waiting.pop(number)
        # Of few bytes JavaScript makes a string.
        whole = data.encode("latin-1") if isinstance(data, str) else data.to_bytes()
        if not reading.done():
            reading.set_result(whole)
        self.worked, self.since = self.spent, None

    @property
    def spent(self) -> float:
        """Seconds of Python in JavaScript's callbacks, so far."""
        return self.worked + (time.perf_counter() - self.since if self.since is not None else 0.0)

    def _fail(self, number: int, error: Any) -> None:
        reading = self._waiting.pop(number)
        if not reading.done():
            reading.set_exception(translated(error))


class BrowserDevice:
    """See ``gpu.device.Device``."""

    def __init__(self, js: Any, *, f16: bool, subgroups: bool):
        about = js.describe().to_py()
        features = frozenset(about["features"])
        self.info = AdapterInfo(
            name=about["name"],
            vendor=" ".join(filter(None, (about["vendor"], about["architecture"]))),
            backend="browser WebGPU",
            features=features,
            is_cpu=about["isFallback"],
            nudged=about["nudged"],
        )
        limits = about["limits"]
        self.limits = Limits(
            max_buffer_size=int(limits["maxBufferSize"]),
            max_storage_buffer_binding_size=int(limits["maxStorageBufferBindingSize"]),
            max_storage_buffers_per_shader_stage=limits["maxStorageBuffersPerShaderStage"],
            max_compute_workgroup_storage_size=limits["maxComputeWorkgroupStorageSize"],
            max_compute_invocations_per_workgroup=limits["maxComputeInvocationsPerWorkgroup"],
            max_compute_workgroups_per_dimension=limits["maxComputeWorkgroupsPerDimension"],
        )
        # Without a promise of the least size (Safari 26), 4 is the least that WGSL allows.
        least_subgroup = int(about["subgroupMinSize"]) or 4
        self.variant = Variant(
            f16=f16 and "shader-f16" in features,
            subgroups=least_subgroup if subgroups and "subgroups" in features else 0,
            enable_subgroups=True,
        )
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

    @asynccontextmanager
    async def host_clock(self) -> AsyncIterator[Callable[[], float]]:
        # Around the JavaScript that calls it nothing is seen: with stack switching that returns at
        # once, and Python runs later.
        run = asyncio.Handle._run
        worked = 0.0
        since: float | None = None

        def timed(handle: asyncio.Handle) -> None:
            nonlocal worked, since
            since = time.perf_counter()
            try:
                run(handle)
            finally:
                worked += time.perf_counter() - since
                since = None

        def clock() -> float:
            under_way = time.perf_counter() - since if since is not None else 0.0
            in_javascript = float(self._js.clock.spent) / 1000
            return worked + under_way + self._reads.spent + in_javascript

        asyncio.Handle._run = timed  # type: ignore[assignment, method-assign]
        try:
            await asyncio.sleep(0)  # the callback under way is not counted; the next one is
            yield clock
        finally:
            asyncio.Handle._run = run  # type: ignore[method-assign]

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
