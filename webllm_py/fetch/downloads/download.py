"""One file's way from its server into a store: in parallel ranges, and in spite of failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from webllm_py.concurrency import run_all
from webllm_py.errors import CorruptCheckpointError, SourceError, StorageFullError
from webllm_py.fetch.backends.backend import WorkerFile
from webllm_py.fetch.downloads.cached_file import CachedFile
from webllm_py.fetch.downloads.range_source import RangeSource
from webllm_py.fetch.options import FetchOptions, Patience
from webllm_py.fetch.source import Chunk, join_chunks
from webllm_py.units import size as shown

__all__ = ["Download"]

# Blocks that one request asks for: few enough for progress in the order of the file, and enough
# that a request's round trip does not count.
SPAN_BLOCKS = 16
# Replies in a row that ignored the range that was asked for, after which none is asked for.
MOST_IGNORED = 5


class Download:
    """Fetches the blocks of a file that are missing.

    Args:
        may_grow: asked for room for so many bytes more of a file whose length nobody told.

    Attributes:
        received: bytes that came, those that had come before among them.
        outgrown: whether there was no such room.
    """

    def __init__(
        self,
        cached: CachedFile,
        options: FetchOptions,
        open_source: Callable[[], RangeSource],
        may_grow: Callable[[int], Awaitable[None]],
    ):
        self._cached = cached
        self._options = options
        self._open_source = open_source
        self._may_grow = may_grow
        self.outgrown = False
        self._open: RangeSource | None = None  # a reply that goes on where ``learn`` stopped
        self._taken: set[int] = set()
        self._ignored = 0
        self.received = 0

    async def learn(self) -> None:
        """Ask for the first block, which tells what the file is; a small file is complete then.

        Raises:
            SourceError: it cannot be had.
        """
        source = self._open_source()
        try:
            await self._learn(source)
        except BaseException:
            await self._done(source)
            raise
        if self._cached.ranges or not self._cached.missing():
            await self._done(source)
        else:
            self._open = source

    async def run(self) -> None:
        """Fetch all that is missing; begun by ``learn``, now or in an earlier process.

        Raises:
            ChangedFileError: the server has another file now.
            SourceError: it cannot be had.
        """
        if self._cached.ranges:
            count = min(self._options.parallel, len(self._cached.missing()))
            await run_all(*(self._with_source(self._fetch_spans) for _ in range(count)))
        if self._cached.missing():
            await self._with_source(self._fetch_in_order)

    async def close(self) -> None:
        """Let go of the connection that ``learn`` may have left open."""
        if self._open is not None:
            source, self._open = self._open, None
            await self._done(source)

    async def compare(self) -> None:
        """Ask for a byte, to see whether the file is still the same.

        Raises:
            ChangedFileError: it is not.
            SourceError: the server does not tell.
        """

        async def ask(source: RangeSource) -> None:
            source.until = 1
            await self._some(source, 0, 1, Patience(self._options))

        await self._with_source(ask)

    async def fetch_again(self, index: int) -> bytes:
        """A block that is there already, once more; the SHA-256 of what came."""

        async def fetch(source: RangeSource) -> None:
            source.until = None
            if self._cached.ranges:
                start, length = self._cached.range(index)
                source.until = start + length
            await self._fetch(source, index)

        await self._with_source(fetch)
        await self._cached.settle()
        return self._cached.blocks[index]

    async def _with_source(self, work: Callable[[RangeSource], Coroutine[Any, Any, None]]) -> None:
        source, self._open = self._open, None
        if source is None:
            source = self._open_source()
            source.assume(self._cached.facts)
        try:
            await work(source)
        finally:
            await self._done(source)

    async def _done(self, source: RangeSource) -> None:
        self.received += source.facts.received
        await source.close()

    async def _learn(self, source: RangeSource) -> None:
        block_bytes = self._cached.block_bytes
        source.until = block_bytes
        part = await self._some(source, 0, block_bytes, Patience(self._options))
        facts = source.facts
        await self._cached.begin(facts, ranges=facts.ranges and facts.size is not None)
        if facts.size is None:  # it is only known at its end, where there is no going on later
            try:
                await self._fetch_to_end(source, part)
            except BaseException:
                await self._cached.forget()
                raise
        elif facts.size:
            try:
                await self._fetch(source, 0, part)
            except RangesIgnoredError:
                self._cached.ranges = False
                source.until = None
                await self._fetch(source, 0)

    async def _fetch_spans(self, source: RangeSource) -> None:
        """Take the first blocks that are missing and not taken by another, until there are none."""
        while span := self._take():
            try:
                start, length = self._cached.range(span[-1])
                source.until = start + length
                file = self._cached.worker_file
                if file is not None:
                    await self._fetch_in_worker(file, source, span)
                    continue
                for index in span:
                    await self._fetch(source, index)
                    if self._ignored >= MOST_IGNORED:
                        return
            except RangesIgnoredError:
                return
            finally:
                self._taken.difference_update(span)

    async def _fetch_in_worker(
        self, file: WorkerFile, source: RangeSource, span: list[int]
    ) -> None:
        """Blocks that follow one another, without Python."""
        patience = Patience(self._options)
        wrong: Counter[int] = Counter()
        while missing := [index for index in span if index not in self._cached.blocks]:
            before = source.facts.received
            try:
                # Those that came wrong may lie among others that are there.
                last = next(i for i in range(missing[0], span[-1] + 1) if i + 1 not in missing)
                found = await self._cached.fetch(file, source, missing[0], last)
            except SourceError as error:
                if file.broken:
                    raise
                if source.facts.received > before:
                    patience.progress()
                await self._failed(source, missing[0], patience, error)
                continue
            self._ignored = 0
            for index in found:
                wrong[index] += 1
                if wrong[index] == self._options.tries:
                    raise self._damaged(index)

    async def _fetch_in_order(self, source: RangeSource) -> None:
        source.until = None
        for index in self._cached.missing():
            await self._fetch(source, index)

    async def _fetch_to_end(self, source: RangeSource, part: Chunk) -> None:
        block_bytes, patience, index = self._cached.block_bytes, Patience(self._options), 0
        source.until = None
        while len(part):
            parts, done = [part], len(part)
            while done < block_bytes and len(part):
                part = await self._some(
                    source, index * block_bytes + done, block_bytes - done, patience
                )
                parts.append(part)
                done += len(part)
            if index and index % SPAN_BLOCKS == 0:
                await self._grow(index * block_bytes)
            await self._cached.write(index, join_chunks(parts))
            index += 1
            if done < block_bytes:
                break
            part = await self._some(source, index * block_bytes, block_bytes, patience)
        await self._cached.end(
            index * block_bytes if not index else (index - 1) * block_bytes + done
        )

    async def _grow(self, size: int) -> None:
        """See to it that a span more can be kept of a file of which ``size`` bytes came."""
        await self._cached.settle()  # what is not written yet takes no room yet
        try:
            await self._may_grow(SPAN_BLOCKS * self._cached.block_bytes)
        except StorageFullError as error:
            self.outgrown = True
            raise StorageFullError(
                f"{self._cached.url} does not tell its length, and there is no room for more than "
                f"the {shown(size)} of it that came. Make room, or load with "
                "fetch=FetchOptions(keep=False), which keeps nothing.",
                needed=error.needed,
                free=error.free,
            ) from error

    async def _fetch(self, source: RangeSource, index: int, part: Chunk = b"") -> None:
        """One block, of which ``part`` has come already."""
        for _ in range(self._options.tries):
            chunk = await self._whole(source, index, part)
            if await self._cached.digests.match(index, chunk, self._cached.count):
                await self._cached.write(index, chunk)
                return
            part = b""
        raise self._damaged(index)

    def _damaged(self, index: int) -> CorruptCheckpointError:
        start, length = self._cached.range(index)
        return CorruptCheckpointError(
            f"{self._cached.url} is damaged on its server: bytes {start} to {start + length} have "
            "another SHA-256 than when the model was exported. Take it from elsewhere."
        )

    async def _whole(self, source: RangeSource, index: int, part: Chunk) -> Chunk:
        start, length = self._cached.range(index)
        patience = Patience(self._options)
        parts, done = ([part], len(part)) if len(part) else ([], 0)
        while done < length:
            part = await self._some(source, start + done, length - done, patience)
            if len(part) == 0:
                raise SourceError(f"{self._cached.url} ended at byte {start + done}")
            parts.append(part)
            done += len(part)
        return join_chunks(parts)

    async def _some(
        self, source: RangeSource, offset: int, length: int, patience: Patience
    ) -> Chunk:
        while True:
            try:
                part = await source.read_some(offset, length)
            except SourceError as error:
                await self._failed(source, offset, patience, error)
            else:
                patience.progress()
                self._ignored = 0
                return part

    async def _failed(
        self, source: RangeSource, offset: int, patience: Patience, error: SourceError
    ) -> None:
        """Wait before the next try, if there is one."""
        if source.until is not None and offset and not source.facts.ranges:
            self._ignored += 1
            if self._ignored >= MOST_IGNORED:
                raise RangesIgnoredError(str(error)) from error
        await patience.wait(error)

    def _take(self) -> list[int]:
        free = [index for index in self._cached.missing() if index not in self._taken]
        if not free or self._ignored >= MOST_IGNORED:
            return []
        # From where it is being read on; towards the end, each gets its share.
        at = next((i for i, index in enumerate(free) if index >= self._cached.wanted), 0)
        most = max(1, min(SPAN_BLOCKS, len(free) // self._options.parallel))
        span = [free[at]]
        while len(span) < most and span[-1] + 1 in free[at : at + most]:
            span.append(span[-1] + 1)
        self._taken.update(span)
        return span


class RangesIgnoredError(SourceError):
    """The server sends whole files, whatever is asked for."""
