"""A server's files in Pyodide, by ``fetch``: bytes of ``read_chunk`` stay in JavaScript."""

from __future__ import annotations

import json
from functools import cached_property, partial
from typing import Any

from webllm_py.errors import SourceError
from webllm_py.fetch.browser import bridge, named_errors
from webllm_py.fetch.http.remote import RemoteFile
from webllm_py.fetch.http.url import FileFacts
from webllm_py.fetch.options import Patience
from webllm_py.fetch.source import check_range

__all__ = ["FetchFile"]

AHEAD_BYTES = 1 << 20  # most that a header's small reads take of what has come already
MAX_SAFE = 2**53 - 1  # the largest int that becomes a JavaScript number, and no BigInt


class FetchFile(RemoteFile[Any]):
    """One URL, as an ``AheadSource``; arguments are those of ``RemoteFile``.

    Reads that follow one another share one reply; a jump asks for a new range. What is expected
    comes by a reply of its own, to a worker, where the page may have one (read_ahead.js).
    """

    _fetching: Any = None
    _ahead, _ahead_at = b"", 0

    @cached_property
    def _facts(self) -> Any:
        return bridge().newFacts()

    @property
    def facts(self) -> FileFacts:
        """What is known of the file."""
        facts = self._facts

        def text(value: Any) -> str | None:
            return value if isinstance(value, str) else None

        return FileFacts(
            self._size(),
            text(facts.etag),
            text(facts.modified),
            bool(facts.ranges),
            bool(facts.answered),
            int(facts.received),
        )

    def assume(self, facts: FileFacts) -> None:
        """Refuse replies that say otherwise than these."""
        self._facts = bridge().newFacts(facts.size, facts.etag, facts.modified)

    async def read_some(self, offset: int, length: int) -> Any:
        """At most ``length`` bytes from ``offset``: what came before a failure, if anything did; a
        JavaScript ``Uint8Array``."""
        return await self._call("readSome", offset, length, self.until)

    def into(self, file: Any) -> Any:
        """What fetches blocks right into a file of disk.js; one file alone."""
        if self._closed:
            raise SourceError(f"{self.name} was closed")
        if self._fetching is None:
            self._fetching = file.fetching(*self._opening)
        return self._fetching

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""
        if not self._facts.answered:
            await Patience(self._retries).until_done(partial(self._call, "seek", 0))
        return self._size()

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; what came with them is kept for later."""
        check_range(self.name, self._size(), offset, length)
        start = offset - self._ahead_at
        if start < 0 or start + length > len(self._ahead):
            chunk = await self._read("readAhead", offset, length, AHEAD_BYTES)
            self._ahead, self._ahead_at, start = bytes(chunk.to_bytes()), offset, 0
        return self._ahead[start : start + length]

    async def read_chunk(self, offset: int, length: int) -> Any:
        """As ``read``, but a JavaScript ``Uint8Array``."""
        self._ahead = b""
        return await self._read("read", offset, length)

    def expect(self, offset: int, length: int) -> None:
        """See ``AheadSource``."""
        if self._stream is not None:
            self._stream.expect(offset, length, not self._lock.locked())

    def release(self, chunk: Any) -> None:
        """See ``AheadSource``."""
        if self._stream is not None:
            self._stream.release(chunk)

    async def _read(self, method: str, offset: int, length: int, *most: int) -> Any:
        check_range(self.name, self._size(), offset, length)
        offset, length = min(offset, MAX_SAFE), min(length, MAX_SAFE)
        try:
            chunk = await self._call(method, offset, length, *most)
        except SourceError as error:
            patience = Patience(self._retries)
            await patience.wait(error)
            chunk = await patience.read(self.read_some, offset, length)  # keeps what comes
        if chunk.length < length:
            check_range(self.name, self._size(), offset, length)
        return chunk

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes."""
        read = partial(self._call, "readAll", limit)
        data = await Patience(self._retries).until_done(read)
        if data is None:
            raise SourceError(f"{self.name} has more than the {limit} bytes that are expected")
        return bytes(data.to_bytes())

    async def pause(self) -> None:
        """Let go of the open reply; the next read asks for a new one."""
        async with self._lock:
            if self._stream is not None:
                self._stream.pause()

    async def close(self) -> None:
        """Abort the request, and a read in progress with it."""
        self._closed = True
        self._ahead = b""
        if self._stream is not None:
            self._stream.abort()
        if self._fetching is not None:
            self._fetching.close()

    def _size(self) -> int | None:
        size = self._facts.size
        return size if isinstance(size, int) else None

    @property
    def _opening(self) -> tuple[str, Any, float, str]:
        """What JavaScript opens the URL with."""
        return self.name, self._facts, self._timeout, json.dumps(self._headers)

    def _open(self) -> Any:
        return bridge().openUrl(*self._opening)

    async def _call(self, method: str, *args: int | None) -> Any:
        async with self._turn() as stream:
            with named_errors(self.name):
                return await getattr(stream, method)(*args)
