"""Files over HTTP in CPython: the standard library's client in a thread, no dependency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from webllm_py.errors import SourceError
from webllm_py.fetch.http.stream import HttpStream
from webllm_py.fetch.http.url import FileFacts
from webllm_py.fetch.options import FetchOptions, Patience
from webllm_py.fetch.source import Chunk, check_range

__all__ = ["HttpFile"]

Result = TypeVar("Result")
READ_ALL_BLOCK = 1 << 20


class HttpFile:
    """One URL, as a ``ByteSource``.

    Reads that follow one another share one reply; a jump asks for a new range over the same
    connection. The file's size comes from the first reply.

    Args:
        url: an http:// or https:// address.
        timeout: seconds without a byte after which a read fails.
        headers: sent with each request, but not to where it is redirected to.
        retries: how often and when a read is tried again whose failure may pass, but
            ``read_some``; None: not at all.

    Attributes:
        facts: what is known of the file.
        until: where requests end, see ``HttpStream``.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        headers: Mapping[str, str] | None = None,
        retries: FetchOptions | None = None,
    ):
        self.name = url
        self.facts = FileFacts()
        self.until: int | None = None
        self._timeout = timeout
        self._headers = headers
        self._retries = retries or FetchOptions(tries=1)
        self._lock = asyncio.Lock()
        self._stream: HttpStream | None = None
        self._closed = False

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

    async def _in_thread(self, work: Callable[[HttpStream], Result]) -> Result:
        async with self._lock:
            if self._closed:
                raise SourceError(f"{self.name} was closed")
            if self._stream is None:
                self._stream = HttpStream(self.name, self.facts, self._timeout, self._headers)
            stream = self._stream
            stream.until = self.until
            thread = asyncio.get_running_loop().run_in_executor(None, work, stream)
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                # The thread would go on waiting for the server: cut its connection. It keeps the
                # dead stream for itself; the next read makes a new one.
                self._stream = None
                stream.abort()
                thread.add_done_callback(lambda done: _bury(done, stream))
                raise


def _bury(thread: asyncio.Future[Result], stream: HttpStream) -> None:
    """Close a cancelled read's stream; what the read came to interests nobody."""
    stream.close()
    if not thread.cancelled():
        thread.exception()
