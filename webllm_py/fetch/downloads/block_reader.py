"""Reads of a kept file, each as soon as its bytes are there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from webllm_py.errors import SourceError
from webllm_py.fetch.downloads.cached_file import CachedFile
from webllm_py.fetch.source import Chunk, join_chunks, part_of

__all__ = ["BlockReader"]


class BlockReader:
    """Reads a file that may be downloaded meanwhile: from memory what the store does not have yet,
    from the store the rest."""

    def __init__(self, cached: CachedFile):
        self._cached = cached

    async def read(self, offset: int, length: int) -> Chunk:
        """Exactly ``length`` bytes from ``offset``; what is missing from there on is downloaded
        first.

        Raises:
            SourceError: they will not come.
        """
        cached = self._cached
        if length > 0:
            cached.wanted = offset // cached.block_bytes
        chunk = await self.read_beside(offset, length)
        cached.free_read()
        return chunk

    async def read_beside(self, offset: int, length: int) -> Chunk:
        """As ``read``, without a say in what is downloaded first."""
        cached = self._cached
        blocks = cached.blocks_of(offset, length)
        for index in blocks:
            await cached.wait_for(index)
        parts: list[Chunk] = []
        stored = offset  # from here on, up to the next block in memory, the store has it
        # All blocks in memory are taken before the first await: they may be let go of meanwhile.
        held = [(i, cached.held[i]) for i in blocks if i in cached.held]
        for index, chunk in held:
            start = index * cached.block_bytes
            first, last = max(offset, start), min(offset + length, start + len(chunk))
            if stored < first:
                parts.append(await cached.read_stored(stored, first - stored))
            parts.append(part_of(chunk, first - start, last - start))
            stored = last
        if stored < offset + length or not parts:
            parts.append(await cached.read_stored(stored, offset + length - stored))
        return join_chunks(parts)

    async def runs(self, most: int) -> AsyncIterator[tuple[int, int]]:
        """Offsets and lengths, in bytes, of the whole file in order: runs of at most ``most``
        blocks, each as soon as it is in the store.

        Raises:
            SourceError: they will not come, or could not be stored.
        """
        cached = self._cached
        index = 0
        while index < cached.count:
            await cached.wait_for(index)
            if index not in cached.blocks:
                await cached.settle()
            if index not in cached.blocks:
                raise SourceError(f"block {index} of {cached.url} came, but is not in the store")
            first = index
            while index in cached.blocks and index < first + most:
                index += 1
            start = first * cached.block_bytes
            yield start, sum(cached.range(index - 1)) - start

    def release(self, chunk: Chunk) -> None:
        """Let the store reuse the memory of what ``read`` gave."""
        if self._cached.worker_file is not None:
            self._cached.worker_file.release(chunk)
