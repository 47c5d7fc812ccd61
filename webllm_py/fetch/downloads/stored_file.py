"""Files of servers that are kept in a store while they are read."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from webllm_py.errors import (
    ChangedFileError,
    CorruptCheckpointError,
    SourceError,
    StorageFullError,
)
from webllm_py.fetch.backends.records import FileRecord
from webllm_py.fetch.downloads.block_reader import BlockReader
from webllm_py.fetch.downloads.cached_file import CachedFile
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.downloads.download import Download
from webllm_py.fetch.downloads.lease import DownloadLease
from webllm_py.fetch.downloads.repair import digest_of, repair
from webllm_py.fetch.downloads.uncached_file import UncachedFile
from webllm_py.fetch.source import Chunk, Folder, bytes_of, check_range

if TYPE_CHECKING:
    from webllm_py.fetch.store.stored_model import StoredModel

__all__ = ["Digests", "StoredFile"]

Digests: TypeAlias = Callable[[], Coroutine[Any, Any, Sequence[bytes]]]


class StoredFile:
    """A file of a server that is kept, as a ``ByteSource``.

    What is in the store is read from there, without a request. The rest is downloaded, by one
    process at a time: others read what it has written, and go on if it dies.

    Args:
        url: where it comes from.
        sha256: what it must be, where that is known before.
        folder: what lies beside it.
        digests: asks for the SHA-256 that each block must have; none where nobody knows.
    """

    def __init__(
        self,
        model: StoredModel,
        filename: str,
        url: str,
        *,
        sha256: str | None = None,
        folder: Folder | None = None,
        digests: Digests | None = None,
    ):
        self.name = url
        self.folder = folder
        self.keeper = model
        record = FileRecord(filename, url, sha256=sha256, block_bytes=model.block_bytes)
        self.cached = CachedFile(model.backend, model.id, record, model.held_bytes)
        self.reader = BlockReader(self.cached)
        self.download = Download(
            self.cached,
            model.options,
            lambda: model.open_ranges(url),
            partial(model.make_room, delete=False),  # maybe in vain: it may never end
        )
        self._sha256 = sha256
        self._ask_digests = digests
        self._opening = asyncio.Lock()
        self._opened = self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._right: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._digest_so_far: StreamDigest | None = None
        self._uncached: UncachedFile | None = None
        self._coming: dict[tuple[int, int], asyncio.Future[Chunk]] = {}
        self._lease = DownloadLease(self.cached)

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""
        await self._open()
        return self.cached.record.size if self._uncached is None else await self._uncached.size()

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        return bytes_of(await self.read_chunk(offset, length))

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """As ``read``; in the browser they stay outside Python's memory."""
        check_range(self.name, await self.size(), offset, length)
        uncached = self._uncached
        if uncached is None:
            self._start()
            coming = self._coming.pop((offset, length), None)
            try:
                if coming is not None:
                    return await coming
                return await self.reader.read(offset, length)
            except SourceError as error:
                if not self.cached.failed:
                    raise
                uncached = self._stop_keeping(error)
        return await uncached.read_chunk(offset, length)

    def expect(self, offset: int, length: int) -> None:
        """See ``AheadSource``: what is in the store is read from there already."""
        if self._uncached is None and self.cached.has(offset, length):
            self._coming[offset, length] = coming = asyncio.ensure_future(
                self.reader.read_beside(offset, length)
            )
            coming.add_done_callback(lambda done: done.cancelled() or done.exception())

    def release(self, chunk: Chunk) -> None:
        """See ``AheadSource``."""
        self.reader.release(chunk)

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes."""
        size = await self.size()
        if size is None and self._uncached is not None:
            data = await self._uncached.read_all(limit)
            await self.verify()
            return data
        if size is None or size <= limit:
            await self.verify()
            size = self.cached.record.size or 0
        if size > limit:
            raise SourceError(f"{self.name} has more than the {limit} bytes that are expected")
        return await self.read(0, size)

    async def verify(self) -> bool:
        """Download what is missing and check the whole; whether bytes changed that could have been
        read before. The store may still be writing then: ``close`` waits for it.

        Raises:
            CorruptCheckpointError: what comes is not what it must be.
            SourceError: it cannot be had.
        """
        await self._open()
        self._start()
        if self._uncached is None and self._right is not None:
            try:
                await asyncio.shield(self._right)
            except SourceError:
                if self._uncached is None:
                    raise
        if self._uncached is not None:
            if self._sha256 is not None:
                await self._uncached.check(self._sha256)
            return False
        replaced, self.cached.replaced = self.cached.replaced, False
        return replaced

    async def missing_bytes(self) -> int:
        """Bytes that are not in the store yet."""
        await self._open()
        return self.cached.missing_bytes() if self._uncached is None else 0

    async def repair(self, algorithm: str, digest: str) -> None:
        """Make the file what it must be: fetch again what is not.

        Raises:
            CorruptCheckpointError: the server's file has another digest.
        """
        await self._open()
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._uncached is not None:
            raise CorruptCheckpointError(
                f"{self.name} came damaged: its {algorithm.upper()} is not {digest}. Load it again."
            )

        async def work() -> None:
            await repair(self.cached, self.download, algorithm, digest, name=self.name)
            await self.cached.finish()

        async with self._opening:
            await self._leading(work, lambda: False)

    async def pause(self) -> None:
        """Nothing to let go of: a download goes on while nobody reads."""

    async def close(self) -> None:
        """End the download; what came stays."""
        if self._closed:
            return
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            if self._right is not None and not self._right.done():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*self._coming.values(), return_exceptions=True)
        await self._lease.close()
        self.cached.fail(SourceError(f"{self.name} was closed"))
        await self.cached.digests.close()
        await self.download.close()
        if self._uncached is not None:
            await self._uncached.close()
        await self.cached.close_file()
        await self.keeper.leave()

    async def _open(self) -> None:
        """Know the file: from the store, or by its first block."""
        async with self._opening:
            if self._closed:
                raise SourceError(f"{self.name} was closed")
            if self._opened:
                return
            await self.keeper.enter()
            await self.cached.look()
            if self._ask_digests is not None and not self.cached.record.complete:
                self.cached.digests.ask(self._ask_digests())
            if self.keeper.options.refresh and self.cached.learned and self._sha256 is None:
                await self._ask_again()
            if not self.cached.learned:
                try:
                    await self._leading(self._learn, lambda: self.cached.learned)
                except StorageFullError as error:
                    if self.download.outgrown:
                        raise
                    self._stop_keeping(error)
            self._opened = True

    async def _learn(self) -> None:
        if not self.cached.learned:
            await self.download.learn()
            if not self.cached.missing():
                if self._sha256:
                    await self._check(
                        self._sha256, await digest_of(self.cached, StreamDigest("sha256"))
                    )
                await self.cached.finish()

    async def _ask_again(self) -> None:
        """See whether the server still has the same file; delete what is kept if it does not."""
        try:
            await self.download.compare()
        except ChangedFileError:
            await self.cached.forget()

    def _start(self) -> None:
        """Begin to download the rest, if there is one, and if that is not done already."""
        if self._closed or self.cached.record.complete or self._uncached is not None:
            return
        if self._task is not None and self._task.done() and self._failure is not None:
            self._task, self._failure = None, None  # it failed: who reads on has hope
            self.cached.fail(None)
        if self._task is None:
            self._right = asyncio.get_running_loop().create_future()
            self._right.add_done_callback(lambda right: right.cancelled() or right.exception())
            self._task = asyncio.create_task(self._obtain(self._right))

    async def _obtain(self, right: asyncio.Future[None]) -> None:
        try:
            await self._leading(partial(self._fetch, right), lambda: self.cached.record.complete)
            if not right.done():  # another process did it
                right.set_result(None)
        except asyncio.CancelledError:
            right.cancel()
            raise
        except BaseException as error:
            if isinstance(error, SourceError) and self.cached.failed:
                self._stop_keeping(error)
            elif not isinstance(error, ChangedFileError):
                self._failure = error
            self._fail(right, error)

    def _fail(self, right: asyncio.Future[None], error: BaseException) -> None:
        self.cached.fail(error)
        if not right.done():
            right.set_exception(error)

    async def _fetch(self, right: asyncio.Future[None]) -> None:
        """Get what is missing; ``right`` is told once all came and is what it must be."""
        if self.cached.record.complete:
            return
        # A header is read of a file before it is known what else the model is made of.
        await self.keeper.make_room(self.cached.missing_bytes())
        try:
            if self._sha256 is None:  # nothing to compare a digest with
                await self.download.run()
            else:
                await self._fetch_digested(self._sha256)
        except ChangedFileError as error:
            self._fail(right, error)  # who reads hears that it changed, not that it is gone
            await self.cached.forget()
            raise
        right.set_result(None)
        await self.cached.finish()

    async def _fetch_digested(self, expected: str) -> None:
        self._digest_so_far = StreamDigest("sha256")
        digesting = asyncio.ensure_future(digest_of(self.cached, self._digest_so_far))
        try:
            await self.download.run()
            await self._check(expected, await digesting)
        finally:
            digesting.cancel()
            await asyncio.gather(digesting, return_exceptions=True)

    async def _check(self, expected: str, found: str) -> None:
        """Compare the digest of what came; fetch again what is wrong."""
        if found != expected:
            await repair(self.cached, self.download, "sha256", expected, name=self.name)

    def _stop_keeping(self, error: SourceError) -> UncachedFile:
        """Go on without the store, and say so. What is in it stays for another time."""
        if self._uncached is None:
            source = self.keeper.open_ranges(self.name)
            if self.cached.learned:
                source.assume(self.cached.facts)
            digest = (self._digest_so_far or StreamDigest("sha256")) if self._sha256 else None
            self._uncached = UncachedFile(self.cached, source, digest)
            warnings.warn(f"{self.name} is not kept: {error}", RuntimeWarning, stacklevel=2)
        return self._uncached

    async def _leading(self, work: Callable[[], Awaitable[None]], done: Callable[[], bool]) -> None:
        """Do ``work`` when no other process does, unless it is done by then."""

        async def checked() -> None:
            if self.cached.blocks and not self.download.received:
                await self.cached.check_blocks()  # what an earlier process left
            await work()

        await self._lease.hold_for(checked, done)
