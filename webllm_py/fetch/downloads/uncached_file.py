"""The rest of a file whose store has no room for it: read from its server, and checked as well."""

from __future__ import annotations

import asyncio

from webllm_py.errors import CorruptCheckpointError
from webllm_py.fetch.downloads.block_reader import BlockReader
from webllm_py.fetch.downloads.cached_file import CachedFile
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.downloads.range_source import RangeSource
from webllm_py.fetch.source import Chunk

__all__ = ["UncachedFile"]


class UncachedFile:
    """A file of which the store holds a part, perhaps none.

    Args:
        kept: the part that is there.
        source: the file on its server.
        digest: of what came so far, in the order of the file; None where there is nothing to
            compare it with.
    """

    def __init__(self, cached: CachedFile, source: RangeSource, digest: StreamDigest | None):
        self._cached = cached
        self._reader = BlockReader(cached)
        self._source = source
        self._digest = digest
        self._lock = asyncio.Lock()

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""
        return await self._source.size()

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """See ``ByteSource``. Reading forwards is the fast way: what is skipped is read for the
        digest."""
        async with self._lock:
            await self._digest_to(offset)
            chunk = await self._read(offset, length)
            if self._digest is not None:
                await self._digest.follow(offset, chunk)
            return chunk

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes; also of one that does not tell its length."""
        async with self._lock:
            data = await self._source.read_all(limit)
            if self._digest is not None:
                await self._digest.follow(0, data)
            return data

    async def check(self, expected: str) -> None:
        """Read what was not read yet, and compare the digest.

        Raises:
            CorruptCheckpointError: it is another.
        """
        async with self._lock:
            await self._digest_to(await self.size() or 0)
        found = self._digest.hexdigest() if self._digest is not None else expected
        if found != expected:
            raise CorruptCheckpointError(
                f"{self._cached.url} is damaged: its SHA256 is {found}, but it must be {expected}. "
                "Load it again."
            )

    async def close(self) -> None:
        """Close the connection."""
        await self._source.close()

    async def _digest_to(self, offset: int) -> None:
        digest = self._digest
        if digest is None:
            return
        await digest.idle()
        while digest.length < offset:
            length = min(self._cached.block_bytes, offset - digest.length)
            await digest.add(await self._read(digest.length, length))

    async def _read(self, offset: int, length: int) -> Chunk:
        if self._cached.has(offset, length):
            return await self._reader.read(offset, length)
        return await self._source.read_chunk(offset, length)
