"""Which process downloads a file: one at a time; another goes on when it is done, or dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from webllm_py.errors import SourceError
from webllm_py.fetch.backends.backend import HeldLock
from webllm_py.fetch.downloads.cached_file import CachedFile

__all__ = ["DownloadLease"]

FOLLOW_SECONDS = 0.1  # between looks at what another process downloads


class DownloadLease:
    """The right to download a file of the store, as a lock of its backend gives it."""

    def __init__(self, cached: CachedFile):
        self._cached = cached
        self._lock: HeldLock | None = None  # that is not handed over yet
        self._handing_over: set[asyncio.Future[None]] = set()

    async def hold_for(self, work: Callable[[], Awaitable[None]], done: Callable[[], bool]) -> None:
        """Do ``work`` when no other process does, unless ``done`` says that it is done by then."""
        cached = self._cached
        lock, self._lock = self._lock, None
        while lock is None:
            lock = await cached.backend.lock(f"{cached.model}/{cached.record.name}")
            if lock is None:
                await asyncio.sleep(FOLLOW_SECONDS)
                await cached.look()
                if done():
                    return
        try:
            await cached.look()
            if not done():
                await work()
        finally:
            self._lock = lock
            task = asyncio.ensure_future(self._hand_over())
            self._handing_over.add(task)
            task.add_done_callback(self._handing_over.discard)

    async def close(self) -> None:
        """Wait until other processes may download."""
        await asyncio.gather(*self._handing_over, return_exceptions=True)

    async def _hand_over(self) -> None:
        """Let another process go on, once it finds what came; nobody here waits for that."""
        with suppress(SourceError):
            await self._cached.settle()
        lock, self._lock = self._lock, None
        if lock is not None:  # else there is more to do here
            try:
                await self._cached.let_go()
            finally:
                await lock.release()
