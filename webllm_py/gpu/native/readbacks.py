"""Read-backs over wgpu-py: staging buffers are reused, and none waits for a lost device."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from webllm_py.errors import DeviceError
from webllm_py.gpu.device import POOLED_BYTES
from webllm_py.waking import WakingFuture

__all__ = ["ReadBacks"]

PULSE_SECONDS = 1.0
UNIT = 256
"""Bytes: staging buffers of a few sizes serve read-backs of all."""


class ReadBacks:
    """The read-backs of one device.

    Args:
        make_staging: creates a buffer of that many bytes that can be copied to and mapped.
        pulse: has the device do nothing; raises a ``DeviceError`` if it is lost.
        translating: see ``ErrorTranslator``.
    """

    def __init__(
        self,
        make_staging: Callable[[int], Any],
        pulse: Callable[[], None],
        translating: Callable[[str], AbstractContextManager[None]],
    ):
        self._make_staging = make_staging
        self._pulse = pulse
        self._translating = translating
        self._pools: defaultdict[int, list[Any]] = defaultdict(list)
        self._waiting: set[asyncio.Future[bytes]] = set()
        self._watched_by: asyncio.AbstractEventLoop | None = None

    def staging(self, size: int) -> Any:
        """A staging buffer of at least ``size`` bytes to copy to, and then to ``wait`` for."""
        rounded = -(-size // UNIT) * UNIT
        pool = self._pools[rounded]
        return pool.pop() if pool else self._make_staging(rounded)

    def wait(self, staging: Any, size: int) -> asyncio.Future[bytes]:
        """The staging buffer's first ``size`` bytes, once the work queued so far is done."""
        loop = asyncio.get_running_loop()
        reading: WakingFuture[bytes] = WakingFuture(loop)
        self._waiting.add(reading)
        mapping = staging.map_async("READ_NOSYNC")
        catcher = mapping.catch(lambda error: self._refused(reading, error))

        def take(_: object) -> None:
            forget(catcher)
            self._take(staging, size, reading)

        mapping.then(take)
        if self._watched_by is not loop:
            self._watched_by = loop
            loop.call_later(PULSE_SECONDS, self._watch, loop)
        return reading

    def fail(self, error: DeviceError) -> None:
        """Fail every read-back that waits."""
        for reading in tuple(self._waiting):
            self._end(reading, error)

    def close(self) -> None:
        """Destroy the buffers that are kept."""
        for pool in self._pools.values():
            for staging in pool:
                staging.destroy()
        self._pools.clear()

    def _take(self, staging: Any, size: int, reading: asyncio.Future[bytes]) -> None:
        try:
            self._pulse()
            with self._translating("a read-back"):
                data = bytes(staging.read_mapped(0, size, copy=False))
                staging.unmap()
        except DeviceError as error:
            self._end(reading, error)
            return
        self._waiting.discard(reading)
        if not reading.done():
            reading.set_result(data)
        if staging.size <= POOLED_BYTES:
            self._pools[staging.size].append(staging)
        else:
            staging.destroy()

    def _refused(self, reading: asyncio.Future[bytes], error: Exception) -> None:
        try:
            self._pulse()
        except DeviceError as lost:
            self._end(reading, lost)
        else:
            self._end(reading, DeviceError(f"reading back failed: {error}"))

    def _end(self, reading: asyncio.Future[bytes], error: DeviceError) -> None:
        self._waiting.discard(reading)
        if not reading.done():
            reading.set_exception(error)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for a lost device while a read-back waits: its mappings may never end."""
        if not self._waiting:
            self._watched_by = None
            return
        try:
            self._pulse()
        except DeviceError as error:
            self._watched_by = None
            self.fail(error)
        else:
            loop.call_later(PULSE_SECONDS, self._watch, loop)


def forget(catcher: Any) -> None:
    """Drop an error callback that can no longer be called.

    wgpu-py (0.32) would keep it, and with it the bytes that were read, until the process ends.
    """
    getattr(catcher, "_UNRESOLVED", set()).discard(catcher)
