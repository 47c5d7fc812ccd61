"""Buffers that belong together and are freed together."""

from __future__ import annotations

from webllm_py.gpu.device import Buffer, Device

__all__ = ["BufferOwner"]


class BufferOwner:
    """Creates buffers on a device, and remembers them until they are freed.

    Attributes:
        nbytes: bytes of all buffers that it owns.
        most_bytes: the most that ``nbytes`` has been.
    """

    def __init__(self, device: Device):
        self.device = device
        self.nbytes = self.most_bytes = 0
        self._buffers: dict[Buffer, None] = {}

    def create(self, label: str, size: int) -> Buffer:
        """A zeroed buffer; see ``Device.create_buffer``."""
        buffer = self.device.create_buffer(label, size)
        self._buffers[buffer] = None
        self.nbytes += buffer.size
        self.most_bytes = max(self.most_bytes, self.nbytes)
        return buffer

    async def enlarge(self, buffer: Buffer, size: int, kept: int) -> None:
        """Give one of them at least ``size`` bytes: its first ``kept``, and zeros. Plans that are
        recorded go on with it.

        Raises:
            DeviceLimitError, GPUOutOfMemoryError: there is no room; it is as it was before.
        """
        larger = self.create(buffer.label, size)
        try:
            await self.device.check()
            if kept:
                self.device.copy(buffer, larger, kept)
        except BaseException:
            self.free(larger)
            raise
        del self._buffers[larger]
        self.nbytes -= buffer.size
        self.device.replace(buffer, larger)

    def free(self, *buffers: Buffer) -> None:
        """Free buffers that it owns."""
        for buffer in buffers:
            del self._buffers[buffer]
            self.nbytes -= buffer.size
            self.device.free(buffer)

    def free_all(self) -> None:
        """Free all buffers that it owns."""
        self.free(*tuple(self._buffers))
