"""Files over HTTP in CPython: the standard library's client in a thread, no dependency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import TypeVar

from webllm_py.errors import SourceError
from webllm_py.fetch.http.remote import RemoteFile
from webllm_py.fetch.http.stream import HttpStream
from webllm_py.fetch.http.url import FileFacts
from webllm_py.fetch.options import Patience
from webllm_py.fetch.source import Chunk, check_range

__all__ = ["HttpFile"]

Result = TypeVar("Result")
READ_ALL_BLOCK = 1 << 20


class HttpFile(RemoteFile[HttpStream]):
    """One URL, as a ``ByteSource``; arguments are those of ``RemoteFile``.

    Reads that follow one another share one reply; a jump asks for a new range over the same
    connection. The file's size comes from the first reply. ``headers`` are not sent to where a
    request is redirected.
    """

    @cached_property
    def facts(self) -> FileFacts:
        """What is known of the file."""
        return FileFacts()

    def assume(self, facts: FileFacts) -> None:
        """Refuse replies that say otherwise than these."""
        self.facts = replace(facts, answered=True, received=0)

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""
        if not self.facts.answered:
            ask = partial(self._in_thread, lambda stream: stream.seek(0))
            await Patience(self._retries).until_done(ask)
        return self.facts.size

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        return bytes(await self.read_chunk(offset, length))

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """As ``read``."""
        check_range(self.name, self.facts.size, offset, length)
        chunk = await Patience(self._retries).read(self.read_some, offset, length)
        if len(chunk) < length:
            check_range(self.name, self.facts.size, offset, length)
        return chunk

    async def read_some(self, offset: int, length: int) -> memoryview:
        """At most ``length`` bytes from ``offset``: what came before a failure, if anything did."""

        def gather(stream: HttpStream) -> memoryview:
            if not self.facts.answered:
                stream.seek(offset)
            size = self.facts.size  # no memory for what the file has not
            most = length if size is None else max(0, min(length, size - offset))
            view = memoryview(bytearray(most))
            return view[: stream.read_some(offset, view)]

        return await self._in_thread(gather)

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes."""
        data, patience = bytearray(), Patience(self._retries)
        while len(data) <= limit:
            length = min(READ_ALL_BLOCK, limit + 1 - len(data))
            block = await patience.read(self.read_some, len(data), length)
            data += block
            if len(block) < length:
                return bytes(data)
        raise SourceError(f"{self.name} has more than the {limit} bytes that are expected")

    async def pause(self) -> None:
        """Let go of the open reply; the next read asks for a new one."""
        async with self._lock:
            if self._stream is not None:
                self._stream.close()

    async def close(self) -> None:
        """Cut a read in progress, and close all connections."""
        self._closed = True
        if self._lock.locked() and self._stream is not None:
            self._stream.abort()
        await self.pause()

    def _open(self) -> HttpStream:
        return HttpStream(self.name, self.facts, self._timeout, self._headers)

    async def _in_thread(self, work: Callable[[HttpStream], Result]) -> Result:
        async with self._turn() as stream:
            stream.until = self.until
            thread = asyncio.get_running_loop().run_in_executor(None, work, stream)
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                thread.add_done_callback(lambda done: _bury(done, stream))
                raise


def _bury(thread: asyncio.Future[Result], stream: HttpStream) -> None:
    """Close the stream of a cancelled read, whose result or error nobody waits for."""
    stream.close()
    if not thread.cancelled():
        thread.exception()
