"""The ``Device`` over wgpu-py, for CPython."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from typing import Any

import wgpu

from webllm_py.errors import (
    DeviceLostError,
    GPUOutOfMemoryError,
    NoAdapterError,
    ShaderError,
)
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import (
    AdapterInfo,
    Buffer,
    Device,
    Dispatch,
    Limits,
    Plan,
    checked_size,
)
from webllm_py.gpu.kernels import Kernel, Shader, Variant, compose

__all__ = ["NativeDevice", "open_native"]

STORAGE = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.COPY_SRC
STAGING = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
# A single writeBuffer of wgpu-native copies through a staging buffer of the same size.
WRITE_PIECE = 16 << 20
COMPUTE = wgpu.ShaderStage.COMPUTE


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
    """
    # Some Vulkan loaders print warnings where this is not set, as in containers.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    try:
        adapter = await wgpu.gpu.request_adapter_async(power_preference=power_preference)
    except RuntimeError as error:
        raise NoAdapterError(
            f"wgpu found no GPU adapter ({error}). Install a driver with Vulkan, Metal or D3D12 "
            "support; on Debian or Ubuntu without a GPU, `mesa-vulkan-drivers` gives a CPU adapter."
        ) from error
    wanted = [
        name for name in ("shader-f16", "subgroup", "timestamp-query") if name in adapter.features
    ]
    device = await adapter.request_device_async(
        label="webllm_py",
        required_features=wanted,
        required_limits={name: adapter.limits[name] for name in REQUESTED_LIMITS},
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


class NativeDevice:
    """See ``gpu.device.Device``."""

    def __init__(self, adapter: Any, device: Any, *, f16: bool, subgroups: bool):
        info = adapter.info
        features = frozenset(str(name) for name in device.features)
        self.info = AdapterInfo(
            name=info.get("device") or info.get("description") or "unknown",
            vendor=str(info.get("vendor", "")),
            backend=f"wgpu-py {wgpu.__version__}, {info.get('backend_type', '')}",
            features=features,
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
        least_subgroup = int(info.get("stackgroup_min_size") or info.get("subgroup_min_size") or 0)
        self.variant = Variant(
            f16=f16 and "shader-f16" in features,
            subgroups=least_subgroup if subgroups and "subgroup" in features else 0,
            enable_subgroups=False,  # naga has subgroups without the directive, and refuses it
        )
        self._device = device
        self._queue = device.queue
        self._live: set[Buffer] = set()
        self._pipelines: dict[Kernel, Any] = {}
        self._layouts: dict[tuple[tuple[int, bool], ...], Any] = {}
        self._staging: defaultdict[int, list[Any]] = defaultdict(list)
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
        self._raise_if_lost()
        size = checked_size(label, size, self)
        try:
            handle = self._device.create_buffer(label=label, size=size, usage=STORAGE)
        except (wgpu.GPUOutOfMemoryError, MemoryError) as error:
            raise GPUOutOfMemoryError(
                f"no GPU memory for '{label}' ({size >> 20} MiB; {self.allocated >> 20} MiB are in "
                "use); use a smaller model or a smaller context_length"
            ) from error
        buffer = Buffer(label, size, handle)
        self._live.add(buffer)
        return buffer

    def write(self, buffer: Buffer, offset: int, data: Chunk) -> None:
        self._raise_if_lost()
        view = memoryview(data).cast("B")
        whole = len(view) & ~3
        for start in range(0, whole, WRITE_PIECE):
            piece = view[start : min(whole, start + WRITE_PIECE)]
            self._queue.write_buffer(buffer.handle, offset + start, piece)
        if rest := view[whole:]:
            self._queue.write_buffer(buffer.handle, offset + whole, bytes(rest).ljust(4, b"\0"))

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        self._raise_if_lost()
        pool = self._staging[size]
        staging = pool.pop() if pool else self._device.create_buffer(size=size, usage=STAGING)
        encoder = self._device.create_command_encoder()
        encoder.copy_buffer_to_buffer(buffer.handle, offset, staging, 0, size)
        self._submit(encoder)
        return asyncio.ensure_future(self._mapped(staging, staging.map_async("READ_NOSYNC"), pool))

    async def _mapped(self, staging: Any, mapping: Any, pool: list[Any]) -> bytes:
        try:
            await mapping
            data = bytes(staging.read_mapped(copy=False))
            staging.unmap()
        except wgpu.GPUError:
            self._raise_if_lost()
            raise
        pool.append(staging)
        return data

    def copy(self, source: Buffer, target: Buffer, size: int) -> None:
        self._raise_if_lost()
        encoder = self._device.create_command_encoder()
        encoder.copy_buffer_to_buffer(source.handle, 0, target.handle, 0, size)
        self._submit(encoder)

    def clear(self, buffer: Buffer) -> None:
        self._raise_if_lost()
        encoder = self._device.create_command_encoder()
        encoder.clear_buffer(buffer.handle)
        self._submit(encoder)

    def free(self, buffer: Buffer) -> None:
        if buffer in self._live:
            self._live.discard(buffer)
            buffer.handle.destroy()

    async def record(self, label: str, dispatches: Sequence[Dispatch]) -> Plan:
        self._raise_if_lost()
        kernels = dict.fromkeys(d.kernel for d in dispatches if d.kernel not in self._pipelines)
        # wgpu-native compiles outside the GIL, so threads do compile side by side.
        made = await asyncio.gather(
            *(asyncio.to_thread(self._compile, kernel) for kernel in kernels)
        )
        self._pipelines.update(zip(kernels, made, strict=True))
        steps = []
        for dispatch in dispatches:
            pipeline = self._pipelines[dispatch.kernel]
            steps.append((pipeline, self._bind(dispatch), dispatch.groups))
        return Plan(label, len(steps), steps)

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
        self._raise_if_lost()
        for _ in range(times):
            encoder = self._device.create_command_encoder()
            compute = encoder.begin_compute_pass()
            for pipeline, group, counts in plan.handle:
                compute.set_pipeline(pipeline)
                compute.set_bind_group(0, group)
                compute.dispatch_workgroups(*counts)
            compute.end()
            self._submit(encoder)

    async def idle(self) -> None:
        # wgpu-py 0.32's on_submitted_work_done_async does not work; a read-back waits as well.
        await self.read(self._fence, 0, 4)

    async def check(self) -> None:
        self._raise_if_lost()

    def close(self) -> None:
        for buffer in tuple(self._live):
            self.free(buffer)
        for pool in self._staging.values():
            for staging in pool:
                staging.destroy()
        self._staging.clear()
        self._pipelines.clear()
        self._layouts.clear()
        self._lost = self._lost or DeviceLostError("the device was closed")
        self._device.destroy()

    def _submit(self, encoder: Any) -> None:
        self._queue.submit([encoder.finish()])
        self._n_submits += 1

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise self._lost
