"""Buffers that belong together and are freed together."""

from __future__ import annotations

from webllm_py.gpu.device import Buffer, Device

__all__ = ["BufferOwner"]


class BufferOwner:
    """Creates buffers on a device and remembers them until they are freed."""

    def __init__(self, device: Device):
        self.device = device
        self._buffers: dict[Buffer, None] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers that it owns."""
        return sum(buffer.size for buffer in self._buffers)

    def create(self, label: str, size: int) -> Buffer:
        """A zeroed buffer; see ``Device.create_buffer``."""
        buffer = self.device.create_buffer(label, size)
        self._buffers[buffer] = None
        return buffer

    def free(self, *buffers: Buffer) -> None:
        """Free some of them."""
        for buffer in buffers:
            del self._buffers[buffer]
            self.device.free(buffer)

    def free_all(self) -> None:
        """Free what is left."""
        self.free(*tuple(self._buffers))
