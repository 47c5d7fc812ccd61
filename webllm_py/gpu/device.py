"""The GPU as the rest of the package sees it: about ten methods, two implementations.

``gpu/browser`` speaks to the browser's own WebGPU, ``gpu/native`` to wgpu-py. Work is
described as data (``Dispatch``), recorded once into a ``Plan``, and replayed many times; nothing is
created while decoding.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from webllm_py.errors import DeviceLimitError, DeviceLostError
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.kernels import Kernel, Variant

__all__ = [
    "PACKED_DOTS",
    "POOLED_BYTES",
    "SUBGROUP_MATRICES",
    "AdapterInfo",
    "Buffer",
    "Device",
    "Dispatch",
    "Limits",
    "Plan",
    "checked_size",
]

# Staging buffers of read-backs are kept for the next one up to this size.
POOLED_BYTES = 1 << 20
PACKED_DOTS = "packed_4x8_integer_dot_product"
"""Among an adapter's features: WGSL's integer dot products of 4 packed bytes."""
SUBGROUP_MATRICES = "chromium-experimental-subgroup-matrix"
"""Among an adapter's features: matrix products of whole subgroups."""


@dataclass(frozen=True)
class Limits:
    """The limits of a device that plans depend on (bytes, or counts). Defaults are WebGPU's own."""

    max_buffer_size: int = 256 << 20
    max_storage_buffer_binding_size: int = 128 << 20
    max_storage_buffers_per_shader_stage: int = 8
    max_compute_workgroup_storage_size: int = 16 << 10
    max_compute_invocations_per_workgroup: int = 256
    max_compute_workgroups_per_dimension: int = 65535

    @property
    def most_bound(self) -> int:
        """Most bytes of a buffer of which all can be bound."""
        return min(self.max_buffer_size, self.max_storage_buffer_binding_size)


@dataclass(frozen=True)
class AdapterInfo:
    """Which GPU answered, and through what.

    Attributes:
        driver: its name and version, where they are told.
        features: WebGPU's, and of WGSL's language features ``PACKED_DOTS``.
        nudged: whether empty work is submitted while something waits for the GPU: in some browsers
            waiting takes long without it (see ``browser/nudge.js``).
    """

    name: str
    vendor: str
    backend: str
    driver: str = ""
    features: frozenset[str] = frozenset()
    is_cpu: bool = False
    nudged: bool = False


@dataclass(eq=False)
class Buffer:
    """A storage buffer on the device. ``handle`` is the implementation's own object."""

    label: str
    size: int
    handle: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class Dispatch:
    """One kernel launch.

    Attributes:
        kernel: what runs.
        buffers: a buffer for each of the kernel's bindings, by name.
        groups: workgroup counts along x, y and z.
        label: what it works on, for profiles: a matrix's name.
    """

    kernel: Kernel
    buffers: Mapping[str, Buffer]
    groups: tuple[int, int, int]
    label: str = ""


@dataclass(frozen=True, eq=False)
class Plan:
    """Recorded dispatches, in order, in one compute pass. ``handle`` is the device's own."""

    label: str
    dispatches: tuple[Dispatch, ...] = field(repr=False)
    handle: Any = field(repr=False)


class Device(Protocol):
    """A GPU device. Work is queued in the order of the calls; only ``read`` and ``idle`` wait."""

    info: AdapterInfo
    limits: Limits
    variant: Variant

    @property
    def allocated(self) -> int:
        """Bytes of all live buffers."""

    @property
    def n_buffers(self) -> int:
        """Number of live buffers."""

    @property
    def n_submits(self) -> int:
        """Command buffers submitted since the device was opened."""

    @property
    def lost(self) -> DeviceLostError | None:
        """Why the device is gone; None while it works."""

    def create_buffer(self, label: str, size: int) -> Buffer:
        """A zeroed storage buffer of at least ``size`` bytes (rounded up to 16).

        Raises:
            DeviceLimitError: ``size`` is over the device's limits.
            GPUOutOfMemoryError: no memory; where the device tells late, ``check`` raises it.
        """

    def write(self, buffer: Buffer, offset: int, data: Chunk) -> None:
        """Queue a copy of ``data`` (bytes of any length) to ``offset`` (a multiple of 4).

        Up to three bytes after the end of ``data`` are overwritten with zeros.
        """

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        """``size`` bytes (a multiple of 4) as they are after the work queued before this call.

        The copy is queued at once; awaiting the result may come later, and must come.
        """

    def copy(self, source: Buffer, target: Buffer, size: int) -> None:
        """Queue a copy of the first ``size`` bytes of one buffer to another."""

    def clear(self, buffer: Buffer) -> None:
        """Queue zeroing of a whole buffer."""

    def replace(self, buffer: Buffer, other: Buffer) -> None:
        """Give a buffer the memory and the size of another one, which is none any more. Its own is
        freed; plans that are recorded go on with what it has now."""

    def free(self, buffer: Buffer) -> None:
        """Give the memory back once queued work is done with it. Freeing twice does nothing."""

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        """Compile what is not compiled yet, in parallel where possible.

        Raises:
            ShaderError: a kernel did not compile; the message has the compiler's lines.
        """

    async def record(self, label: str, dispatches: Sequence[Dispatch]) -> Plan:
        """Compile what is not compiled yet, and bind the buffers.

        Raises:
            ShaderError: a kernel did not compile; the message has the compiler's lines.
        """

    def drop(self, plan: Plan) -> None:
        """Forget a plan that will not be replayed again."""

    def replay(self, plan: Plan, times: int = 1) -> None:
        """Queue the plan ``times`` times over without waiting, a few times in each submit."""

    def replay_and_read(
        self, plan: Plan, times: int, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        """``replay`` and then ``read``, in less time of the host than the two calls take."""

    def replay_in_parts(self, plan: Plan) -> None:
        """Queue the plan once. In a browser this takes several submits: between them it tells of
        read-backs that have come."""

    async def profile(self, plan: Plan, repeats: int = 1) -> list[float]:
        """Run the plan once, each dispatch in a pass of its own; the seconds that each took.

        Args:
            repeats: how many times each dispatch runs within its pass; the time is that of one.
                For devices that round times. What kernels add to or advance in place is then wrong.

        Raises:
            DeviceError: the device has no timestamps ("timestamp-query" in ``info.features``), or
                the plan has more than 2,048 dispatches.
        """

    async def time_plans(self, plans: Sequence[Plan]) -> list[float]:
        """Run plans in order, each in a pass of its own; the seconds that each took.

        Raises:
            DeviceError: as ``profile``; here of more than 2,048 plans.
        """

    def host_clock(self) -> AbstractAsyncContextManager[Callable[[], float]]:
        """A clock, in seconds, that runs only while the event loop's thread is at work.

        Natively it is the thread's CPU time. A browser does not tell that: there it is the wall
        time of every callback of the event loop, Python with all the JavaScript that it calls, and
        of the JavaScript that handles this device's read-backs. Time spent awaiting counts on
        neither. In a browser, what it does between callbacks is not counted either, but a submit
        that waits for a GPU that is far behind is, and so is time that the system gives to other
        processes.
        """

    async def idle(self) -> None:
        """Wait until all queued work is done."""

    async def check(self) -> None:
        """Raise what went wrong since the last check (out of memory, validation, device lost)."""

    def close(self) -> None:
        """Free everything."""


def checked_size(label: str, size: int, device: Device) -> int:
    """A buffer's size rounded up to 16 bytes, the unit that vec4 bindings are read in.

    Raises:
        DeviceLimitError: over what the device can bind at once.
    """
    size = max(16, -(-size // 16) * 16)
    limit = device.limits.most_bound
    if size > limit:
        raise DeviceLimitError(
            f"the buffer '{label}' needs {size >> 20} MiB, but {device.info.name} binds at most "
            f"{limit >> 20} MiB at once; use a smaller model or a smaller context_length"
        )
    return size
