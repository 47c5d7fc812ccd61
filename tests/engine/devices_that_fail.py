"""A device that stands before a real one and refuses what a test tells it to."""

from __future__ import annotations

from typing import Any

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.gpu import Device
from webllm_py.gpu.device import Buffer, Limits, checked_size

__all__ = ["FailingDevice"]


class FailingDevice:
    """Everything but making buffers is the real device's.

    Args:
        fail_at: the call of ``create_buffer`` that runs out of memory, the first being 0.
        forever: all later ones as well.
        late: tell of it only at the next ``check``, as browsers do.
        limits: in place of the real ones.
        most_bytes: memory that there is, with what the device has already.
    """

    def __init__(
        self,
        device: Device,
        *,
        fail_at: int | None = None,
        forever: bool = False,
        late: bool = False,
        limits: Limits | None = None,
        most_bytes: int | None = None,
    ):
        self.device = device
        self.limits = limits or device.limits
        self.fail_at = fail_at
        self.forever = forever
        self.late = late
        self.most_bytes = most_bytes
        self.created = 0
        self.failed: GPUOutOfMemoryError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.device, name)

    def create_buffer(self, label: str, size: int) -> Buffer:
        size = checked_size(label, size, self)  # type: ignore[arg-type]
        call, self.created = self.created, self.created + 1
        if self._fails(call) or self._is_full(size):
            error = GPUOutOfMemoryError(f"no GPU memory for '{label}'")
            if not self.late:
                raise error
            self.failed = self.failed or error
            self.failed.nbytes += size
        return self.device.create_buffer(label, size)

    def _fails(self, call: int) -> bool:
        if self.fail_at is None:
            return False
        return call >= self.fail_at if self.forever else call == self.fail_at

    def _is_full(self, size: int) -> bool:
        failed = self.failed.nbytes if self.failed else 0
        taken = self.device.allocated - failed
        return self.most_bytes is not None and taken + size > self.most_bytes

    async def check(self) -> None:
        error, self.failed = self.failed, None
        if error:
            raise error
        await self.device.check()
