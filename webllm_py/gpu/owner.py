"""Buffers that belong together and are freed together."""

from __future__ import annotations

from collections.abc import Sequence

from webllm_py.gpu.device import Buffer, Device

__all__ = ["BufferOwner"]

# Bytes that are there twice, at most, while buffers become larger; more where one alone is.
TWICE = 64 << 20


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

    async def enlarge(self, buffers: Sequence[Buffer], size: int, kept: int) -> None:
        """Give each of them at least ``size`` bytes: its first ``kept``, and zeros. Plans that are
        recorded go on with them.

        Raises:
            DeviceLimitError, GPUOutOfMemoryError: there is no room. Some may be larger by then, the
                others are as they were before.
        """
        at_once = max(1, TWICE // size)  # each check waits for the device
        for first in range(0, len(buffers), at_once):
            await self._enlarge(buffers[first : first + at_once], size, kept)

    async def _enlarge(self, buffers: Sequence[Buffer], size: int, kept: int) -> None:
        larger: list[Buffer] = []
        try:
            for buffer in buffers:
                larger.append(self.create(buffer.label, size))
            await self.device.check()
            for before, after in zip(buffers, larger, strict=True):
                if kept:
                    self.device.copy(before, after, kept)
        except BaseException:
            self.free(*larger)
            raise
        for before, after in zip(buffers, larger, strict=True):
            del self._buffers[after]
            self.nbytes -= before.size
            self.device.replace(before, after)

    def free(self, *buffers: Buffer) -> None:
        """Free buffers that it owns."""
        for buffer in buffers:
            del self._buffers[buffer]
            self.nbytes -= buffer.size
            self.device.free(buffer)

    def free_all(self) -> None:
        """Free all buffers that it owns."""
        self.free(*tuple(self._buffers))
