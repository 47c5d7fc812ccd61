"""Write-behind: blocks of a file can be read at once, and are stored later.

Memory is bounded: of what is written, blocks that were read go first, then those that are read
last; and while too much is not written yet, the download waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from webllm_py.fetch.source import Chunk

__all__ = ["HeldBytes", "WriteBehind"]

# Four requests that are 16 blocks apart, and those that the store is slow to write.
MOST_BYTES = 96 << 20
LEAST_BLOCKS = 4  # that a file may hold whatever others hold
AT_ONCE = 4  # blocks that are written at a time


@dataclass
class HeldBytes:
    """Bytes that all files of a model hold together."""

    count: int = 0


class WriteBehind:
    """The blocks of one file that are held.

    Args:
        write: writes a block.
        shared: counts them, with those of other files.

    Attributes:
        held: the blocks, by their numbers.
    """

    def __init__(self, write: Callable[[int, Chunk], Awaitable[None]], shared: HeldBytes):
        self.held: dict[int, Chunk] = {}
        self._passed = 0  # blocks before this one were read
        self._write = write
        self._shared = shared
        self._waiting: deque[int] = deque()
        self._writing: dict[int, asyncio.Task[None]] = {}
        self._error: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether a block could not be written."""
        return self._error is not None

    async def put(self, index: int, chunk: Chunk) -> None:
        """Hold a block, and have it written soon.

        Raises:
            SourceError: this block or one before it could not be written.
        """
        while self._writing and (index in self._unwritten() or not self._fits(len(chunk))):
            await self._wait()
        self._raise()
        self._forget(index)
        self.held[index] = chunk
        self._shared.count += len(chunk)
        self._waiting.append(index)
        self._begin()

    async def settle(self) -> None:
        """Wait until all is written.

        Raises:
            SourceError: a block could not be written.
        """
        while self._writing:
            await self._wait()
        self._raise()

    async def drop(self) -> None:
        """Forget what is held, and do not write it."""
        self._waiting.clear()
        writing = list(self._writing.values())
        await asyncio.gather(*writing, return_exceptions=True)  # a half written block helps nobody
        for index in list(self.held):
            self._forget(index)
        self._passed, self._error = 0, None

    def release(self, passed: int) -> None:
        """Blocks before this one were read: let go of those that are written."""
        self._passed = passed
        unwritten = self._unwritten()
        for index in [i for i in self.held if i < passed and i not in unwritten]:
            self._forget(index)

    def _unwritten(self) -> set[int]:
        return {*self._waiting, *self._writing}

    def _fits(self, nbytes: int) -> bool:
        """Whether ``nbytes`` more may be held, once others are let go."""
        self.release(self._passed)
        unwritten = self._unwritten()
        written = sorted(i for i in self.held if i not in unwritten)
        while self._shared.count + nbytes > MOST_BYTES and len(self.held) >= LEAST_BLOCKS:
            if not written:
                return False
            self._forget(written.pop())  # what is read last
        return True

    def _forget(self, index: int) -> None:
        chunk = self.held.pop(index, None)
        if chunk is not None:
            self._shared.count -= len(chunk)

    def _begin(self) -> None:
        while self._waiting and len(self._writing) < AT_ONCE and self._error is None:
            index = self._waiting.popleft()
            task = asyncio.ensure_future(self._write(index, self.held[index]))
            self._writing[index] = task
            task.add_done_callback(partial(self._end, index))

    def _end(self, index: int, done: asyncio.Future[None]) -> None:
        del self._writing[index]
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._error = error
            self._waiting.clear()
        self._begin()

    async def _wait(self) -> None:
        await asyncio.wait(list(self._writing.values()), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)  # until the callbacks of what ended ran

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
