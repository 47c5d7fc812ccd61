"""The ``Device`` over wgpu-py, for CPython."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import wgpu
from wgpu.backends.wgpu_native import ffi, lib

from webllm_py.errors import (
    DeviceError,
    DeviceLostError,
    GPUOutOfMemoryError,
    NoAdapterError,
    ShaderError,
)
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import (
    PACKED_DOTS,
    AdapterInfo,
    Buffer,
    Device,
    Dispatch,
    Limits,
    Plan,
    checked_size,
)
from webllm_py.gpu.kernels import Kernel, Shader, Variant, compose
from webllm_py.gpu.pipelines import Pipelines
from webllm_py.gpu.readbacks import ReadBacks
from webllm_py.gpu.timestamps import durations, timed_passes

__all__ = ["NativeDevice", "open_native"]

STORAGE = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.COPY_SRC
STAGING = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
# A single writeBuffer of wgpu-native copies through a staging buffer of the same size.
WRITE_PIECE = 16 << 20
COMPUTE = wgpu.ShaderStage.COMPUTE
# Replays of a submit: each has its price, and the GPU waits for all of it to be written down.
MOST_A_SUBMIT = 4


async def open_native(
    *, f16: bool = True, subgroups: bool = True, power_preference: str = "high-performance"
) -> Device:
    """Open the GPU through wgpu-py.

    Args:
        f16: use ``shader-f16`` where the adapter has it.
        subgroups: use subgroup operations where the adapter has them.
        power_preference: "high-performance" or "low-power".

    Raises:
        NoAdapterError: no Vulkan, Metal or D3D12 driver offers an adapter.
        DeviceError: the driver offers one, but gives no device.
    """
    # Some Vulkan loaders print warnings where this is not set, as in containers.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    try:
        adapter = await wgpu.gpu.request_adapter_async(power_preference=power_preference)
    except (RuntimeError, ValueError) as error:
        # ValueError: an adapter that WGPUPY_WGPU_ADAPTER_NAME asks for and that is not there.
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise NoAdapterError(
            f"wgpu found no GPU adapter{why}. Install a driver with Vulkan, Metal or D3D12 "
            "support; on Debian or Ubuntu without a GPU, `mesa-vulkan-drivers` gives a CPU adapter."
        ) from error
    wanted = [
        name for name in ("shader-f16", "subgroup", "timestamp-query") if name in adapter.features
    ]
    try:
        device = await adapter.request_device_async(
            label="webllm_py",
            required_features=wanted,
            required_limits={name: adapter.limits[name] for name in REQUESTED_LIMITS},
        )
    except RuntimeError as error:
        raise DeviceError(f"the driver of {adapter.info['device']} gives no device: {error}") from (
            error
        )
    return NativeDevice(adapter, device, f16=f16, subgroups=subgroups)


REQUESTED_LIMITS = (
    "max-buffer-size",
    "max-storage-buffer-binding-size",
    "max-compute-workgroup-storage-size",
    "max-compute-invocations-per-workgroup",
    "max-compute-workgroup-size-x",
    "max-compute-workgroups-per-dimension",
)

# Of NVIDIA, Apple, AMD: wgpu 29 tells of the least that WebGPU allows only, 4.
LEAST_SUBGROUPS = {0x10DE: 32, 0x106B: 32, 0x1002: 32}


class NativeDevice:
    """See ``gpu.device.Device``."""

    def __init__(self, adapter: Any, device: Any, *, f16: bool, subgroups: bool):
        info = adapter.info
        features = frozenset(str(name) for name in device.features)
        self.info = AdapterInfo(
            name=info.get("device") or info.get("description") or "unknown",
            vendor=str(info.get("vendor", "")),
            backend=f"wgpu-py {wgpu.__version__}, {info.get('backend_type', '')}",
            driver=str(info.get("description", "")),
            features=features | {PACKED_DOTS},  # naga has them, and makes do on any adapter
            is_cpu=info.get("adapter_type") == "CPU",
        )
        limits = device.limits
        self.limits = Limits(
            max_buffer_size=limits["max-buffer-size"],
            max_storage_buffer_binding_size=limits["max-storage-buffer-binding-size"],
            max_compute_workgroup_storage_size=limits["max-compute-workgroup-storage-size"],
            max_compute_invocations_per_workgroup=limits["max-compute-invocations-per-workgroup"],
            max_compute_workgroups_per_dimension=limits["max-compute-workgroups-per-dimension"],
        )
        told = info.get("stackgroup_min_size") or info.get("subgroup_min_size") or 0
        least_subgroup = max(int(told), LEAST_SUBGROUPS.get(info.get("vendor_id", 0), 0))
        self.variant = Variant(
            f16=f16 and "shader-f16" in features,
            subgroups=least_subgroup if subgroups and "subgroup" in features else 0,
            enable_subgroups=False,  # naga has subgroups without the directive, and refuses it
        )
        self._device = device
        self._queue = device.queue
        self._live: set[Buffer] = set()
        self._pipelines = Pipelines[Any](lambda kernel: asyncio.to_thread(self._compile, kernel))
        self._layouts: dict[tuple[tuple[int, bool], ...], Any] = {}
        self._reads = ReadBacks(self._make_staging, self._pulse, self._named_errors)
        self._lost: DeviceLostError | None = None
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
        return self._lost

    def create_buffer(self, label: str, size: int) -> Buffer:
        size = checked_size(label, size, self)
        with self._named_errors(f"'{label}' ({size >> 20} MiB)"):
            handle = self._device.create_buffer(label=label, size=size, usage=STORAGE)
        buffer = Buffer(label, size, handle)
        self._live.add(buffer)
        return buffer

    def write(self, buffer: Buffer, offset: int, data: Chunk) -> None:
        view = memoryview(data).cast("B")
        whole = len(view) & ~3
        with self._named_errors(f"{len(view):,} bytes on their way"):
            for start in range(0, whole, WRITE_PIECE):
                piece = view[start : min(whole, start + WRITE_PIECE)]
                self._queue.write_buffer(buffer.handle, offset + start, piece)
            if rest := view[whole:]:
                last = bytes(rest).ljust(4, b"\0")
                self._queue.write_buffer(buffer.handle, offset + whole, last)

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        with self._named_errors(f"a read-back of {size:,} bytes"):
            return self._read_behind(self._device.create_command_encoder(), buffer, offset, size)

    def _read_behind(
        self, encoder: Any, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        """Submit what was encoded, and read bytes as they are then."""
        staging = self._reads.staging(size)
        encoder.copy_buffer_to_buffer(buffer.handle, offset, staging, 0, size)
        self._submit(encoder)
        return self._reads.wait(staging)

    def copy(self, source: Buffer, target: Buffer, size: int) -> None:
        with self._named_errors("a copy"):
            encoder = self._device.create_command_encoder()
            encoder.copy_buffer_to_buffer(source.handle, 0, target.handle, 0, size)
            self._submit(encoder)

    def clear(self, buffer: Buffer) -> None:
        with self._named_errors("a clearing"):
            encoder = self._device.create_command_encoder()
            encoder.clear_buffer(buffer.handle)
            self._submit(encoder)

    def free(self, buffer: Buffer) -> None:
        if buffer in self._live:
            self._live.discard(buffer)
            buffer.handle.destroy()

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        # wgpu-native compiles outside the GIL, so threads do compile side by side.
        await self._pipelines.compile(kernels)

    async def record(self, label: str, dispatches: Sequence[Dispatch]) -> Plan:
        async with self._pipelines.holding(d.kernel for d in dispatches) as made:
            with self._named_errors(f"the plan '{label}'"):
                steps = [(made[d.kernel], self._bind(d), d.groups) for d in dispatches]
        return Plan(label, tuple(dispatches), steps)

    def _compile(self, kernel: Kernel) -> Any:
        shader = compose(kernel, self.variant)
        try:
            module = self._device.create_shader_module(label=kernel.name, code=shader.text)
            return self._device.create_compute_pipeline(
                label=kernel.name,
                layout=self._device.create_pipeline_layout(
                    bind_group_layouts=[self._layout(shader)]
                ),
                compute={"module": module, "entry_point": "main", "constants": shader.overrides},
            )
        except wgpu.GPUError as error:
            raise ShaderError(f"kernel {kernel.name} did not compile: {error}") from error

    def _layout(self, shader: Shader) -> Any:
        key = tuple((b.index, b.writable) for b in shader.bindings)
        if key not in self._layouts:
            entries = [
                {
                    "binding": index,
                    "visibility": COMPUTE,
                    "buffer": {"type": "storage" if writable else "read-only-storage"},
                }
                for index, writable in key
            ]
            self._layouts[key] = self._device.create_bind_group_layout(entries=entries)
        return self._layouts[key]

    def _bind(self, dispatch: Dispatch) -> Any:
        shader = compose(dispatch.kernel, self.variant)
        shader.check_buffers(dispatch.kernel.name, dispatch.buffers)
        entries = [
            {"binding": b.index, "resource": {"buffer": dispatch.buffers[b.name].handle}}
            for b in shader.bindings
        ]
        return self._device.create_bind_group(layout=self._layout(shader), entries=entries)

    def drop(self, plan: Plan) -> None:
        plan.handle.clear()

    def replay(self, plan: Plan, times: int = 1) -> None:
        with self._named_errors(f"the plan '{plan.label}'"):
            for done in range(0, times, MOST_A_SUBMIT):
                self._submit(self._encoded(plan, min(MOST_A_SUBMIT, times - done)))

    def replay_and_read(
        self, plan: Plan, times: int, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        # Not with a submit of its own, which costs as much as half a step.
        last = (times - 1) % MOST_A_SUBMIT + 1
        self.replay(plan, times - last)
        with self._named_errors(f"the plan '{plan.label}' and reading {size:,} bytes"):
            return self._read_behind(self._encoded(plan, last), buffer, offset, size)

    def _encoded(self, plan: Plan, times: int) -> Any:
        encoder = self._device.create_command_encoder()
        compute = encoder.begin_compute_pass()
        for _ in range(times):
            encode(compute, plan.handle)
        compute.end()
        return encoder

    def replay_in_parts(self, plan: Plan) -> None:
        self.replay(plan)  # nothing is told while Python runs

    async def profile(self, plan: Plan, repeats: int = 1) -> list[float]:
        seconds = await self._timed([[step] for step in plan.handle], repeats)
        return [of_all / repeats for of_all in seconds]

    async def time_plans(self, plans: Sequence[Plan]) -> list[float]:
        return await self._timed([plan.handle for plan in plans])

    async def _timed(self, passes: Sequence[Any], repeats: int = 1) -> list[float]:
        with self._named_errors("timing kernels"):
            ticks, encoder = timed_passes(self._device, passes, repeats)
            self._submit(encoder)
        try:
            data = await self.read(ticks, 0, ticks.size)
        finally:
            ticks.handle.destroy()
        seconds = 1e-9 * lib.wgpuQueueGetTimestampPeriod(self._queue._internal)
        return [n * seconds for n in durations(data)]

    @asynccontextmanager
    async def host_clock(self) -> AsyncIterator[Callable[[], float]]:
        # Not the time in callbacks: a submit waits where the driver has no room.
        yield time.thread_time

    async def idle(self) -> None:
        # wgpu-py 0.32's on_submitted_work_done_async does not work; a read-back waits as well.
        await self.read(self._fence, 0, 4)

    async def check(self) -> None:
        self._raise_if_lost()

    def close(self) -> None:
        self._lost = self._lost or DeviceLostError("the device was closed")
        self._reads.fail(self._lost)
        self._reads.close()
        for buffer in tuple(self._live):
            self.free(buffer)
        self._pipelines.clear()
        self._layouts.clear()
        self._device.destroy()

    def _make_staging(self, size: int) -> Any:
        return self._device.create_buffer(size=size, usage=STAGING)

    def _pulse(self) -> None:
        # Told of a lost device here, wgpu-native raises; in a submit or a mapping it would abort.
        with self._named_errors("an empty command buffer"):
            commands = self._device.create_command_encoder().finish()
        # One that is dropped takes the memory of one that was submitted with it, for ever.
        self._queue.submit([commands])

    def _submit(self, encoder: Any) -> None:
        self._queue.submit([encoder.finish()])
        self._n_submits += 1

    @contextmanager
    def _named_errors(self, what: str) -> Iterator[None]:
        """Errors of wgpu as this package's own; ``what`` needed memory if that is the reason."""
        self._raise_if_lost()
        try:
            yield
        except (wgpu.GPUError, MemoryError) as error:
            raise self._named(error, what) from error

    def _named(self, error: Exception, what: str) -> DeviceError:
        # Where memory is short or the device is gone, wgpu-py 0.32 may say so in words alone.
        words = str(error)
        if "is lost" in words:
            self._lost = DeviceLostError(
                "the GPU device was lost. Engine.recover() starts again; if it happens often, use "
                "a smaller model or a smaller context_length"
            )
            return self._lost
        memory = isinstance(error, wgpu.GPUOutOfMemoryError | MemoryError)
        if memory or "Not enough memory" in words:
            return GPUOutOfMemoryError(
                f"no GPU memory for {what} ({self.allocated >> 20} MiB are in use); use a smaller "
                "model or a smaller context_length"
            )
        return DeviceError(f"{what}: {words}")

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise self._lost


def encode(compute: Any, steps: Sequence[tuple[Any, Any, tuple[int, int, int]]]) -> None:
    """Write a plan's steps into a compute pass, as wgpu-py's methods do at three times the time.

    Theirs is longer than a small model's step takes a GPU.
    """
    bound, encoder = None, compute._internal
    for pipeline, group, counts in steps:
        if pipeline is not bound:
            lib.wgpuComputePassEncoderSetPipeline(encoder, pipeline._internal)
            bound = pipeline
        lib.wgpuComputePassEncoderSetBindGroup(encoder, 0, group._internal, 0, ffi.NULL)
        lib.wgpuComputePassEncoderDispatchWorkgroups(encoder, *counts)
