"""Files of servers that are kept in a store while they are read."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from webllm_py.errors import (
    ChangedFileError,
    CorruptCheckpointError,
    SourceError,
    StorageFullError,
)
from webllm_py.fetch.backends.backend import Held
from webllm_py.fetch.backends.records import FileRecord
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.downloads.download import Download
from webllm_py.fetch.downloads.kept import Kept
from webllm_py.fetch.downloads.reader import KeptReader
from webllm_py.fetch.downloads.repair import digest_of, repair
from webllm_py.fetch.downloads.unkept import UnkeptFile
from webllm_py.fetch.source import Chunk, Folder, bytes_of, check_range

if TYPE_CHECKING:
    from webllm_py.fetch.store.stored_model import StoredModel

__all__ = ["Digests", "StoredFile"]

Digests: TypeAlias = Callable[[], Coroutine[Any, Any, Sequence[bytes]]]

FOLLOW_SECONDS = 0.1  # between looks at what another process downloads


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
        self.kept = Kept(model.backend, model.id, record, model.held_bytes)
        self.reader = KeptReader(self.kept)
        self.download = Download(self.kept, model.options, lambda: model.open_ranges(url))
        self._sha256 = sha256
        self._ask_digests = digests
        self._opening = asyncio.Lock()
        self._opened = self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._right: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._digest_so_far: StreamDigest | None = None
        self._unkept: UnkeptFile | None = None
        self._coming: dict[tuple[int, int], asyncio.Future[Chunk]] = {}
        self._lead: Held | None = None  # that is not handed over yet
        self._handing: set[asyncio.Future[None]] = set()

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""
        await self._open()
        return self.kept.record.size if self._unkept is None else await self._unkept.size()

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        return bytes_of(await self.read_chunk(offset, length))

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """As ``read``; in the browser they stay outside Python's memory."""
        check_range(self.name, await self.size(), offset, length)
        unkept = self._unkept
        if unkept is None:
            self._start()
            coming = self._coming.pop((offset, length), None)
            try:
                if coming is not None:
                    return await coming
                return await self.reader.read(offset, length)
            except SourceError as error:
                if not self.kept.failed:
                    raise
                unkept = self._stop_keeping(error)
        return await unkept.read_chunk(offset, length)

    def expect(self, offset: int, length: int) -> None:
        """See ``AheadSource``: what is in the store is read from there already."""
        if self._unkept is None and self.kept.has(offset, length):
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
        if size is None or size <= limit:
            await self.verify()
            size = self.kept.record.size or 0
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
        if self._unkept is None and self._right is not None:
            try:
                await asyncio.shield(self._right)
            except SourceError:
                if self._unkept is None:
                    raise
        if self._unkept is not None:
            if self._sha256 is not None:
                await self._unkept.check(self._sha256)
            return False
        replaced, self.kept.replaced = self.kept.replaced, False
        return replaced

    async def missing_bytes(self) -> int:
        """Bytes that are not in the store yet."""
        await self._open()
        return self.kept.missing_bytes() if self._unkept is None else 0

    async def repair(self, algorithm: str, digest: str) -> None:
        """Make the file what it must be: fetch again what is not.

        Raises:
            CorruptCheckpointError: the server's file has another digest.
        """
        await self._open()
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._unkept is not None:
            raise CorruptCheckpointError(
                f"{self.name} came damaged: its {algorithm.upper()} is not {digest}. Load it again."
            )

        async def work() -> None:
            await repair(self.kept, self.download, algorithm, digest, name=self.name)
            await self.kept.finish()

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
        await asyncio.gather(*self._coming.values(), *self._handing, return_exceptions=True)
        self.kept.fail(SourceError(f"{self.name} was closed"))
        await self.kept.digests.close()
        await self.download.close()
        if self._unkept is not None:
            await self._unkept.close()
        await self.kept.close_file()
        await self.keeper.leave()

    async def _open(self) -> None:
        """Know the file: from the store, or by its first block."""
        async with self._opening:
            if self._closed:
                raise SourceError(f"{self.name} was closed")
            if self._opened:
                return
            await self.keeper.enter()
            await self.kept.look()
            if self._ask_digests is not None and not self.kept.record.complete:
                self.kept.digests.ask(self._ask_digests())
            if self.keeper.options.refresh and self.kept.learned and self._sha256 is None:
                await self._ask_again()
            if not self.kept.learned:
                try:
                    await self._leading(self._learn, lambda: self.kept.learned)
                except StorageFullError as error:
                    self._stop_keeping(error)
            self._opened = True

    async def _learn(self) -> None:
        if not self.kept.learned:
            await self.download.learn()
            if not self.kept.missing():
                if self._sha256:
                    await self._check(
                        self._sha256, await digest_of(self.kept, StreamDigest("sha256"))
                    )
                await self.kept.finish()

    async def _ask_again(self) -> None:
        """See whether the server still has the same file; delete what is kept if it does not."""
        try:
            await self.download.compare()
        except ChangedFileError:
            await self.kept.forget()

    def _start(self) -> None:
        """Begin to download the rest, if there is one, and if that is not done already."""
        if self._closed or self.kept.record.complete or self._unkept is not None:
            return
        if self._task is not None and self._task.done() and self._failure is not None:
            self._task, self._failure = None, None  # it failed: who reads on has hope
            self.kept.fail(None)
        if self._task is None:
            self._right = asyncio.get_running_loop().create_future()
            self._right.add_done_callback(lambda right: right.cancelled() or right.exception())
            self._task = asyncio.create_task(self._obtain(self._right))

    async def _obtain(self, right: asyncio.Future[None]) -> None:
        try:
            await self._leading(partial(self._fetch, right), lambda: self.kept.record.complete)
            if not right.done():  # another process did it
                right.set_result(None)
        except asyncio.CancelledError:
            right.cancel()
            raise
        except BaseException as error:
            if isinstance(error, SourceError) and self.kept.failed:
                self._stop_keeping(error)
            elif not isinstance(error, ChangedFileError):
                self._failure = error
            self._fail(right, error)

    def _fail(self, right: asyncio.Future[None], error: BaseException) -> None:
        self.kept.fail(error)
        if not right.done():
            right.set_exception(error)

    async def _fetch(self, right: asyncio.Future[None]) -> None:
        """Get what is missing; ``right`` is told once all came and is what it must be."""
        if self.kept.record.complete:
            return
        # A header is read of a file before it is known what else the model is made of.
        await self.keeper.make_room(self.kept.missing_bytes())
        try:
            if self._sha256 is None:  # nothing to compare a digest with
                await self.download.run()
            else:
                await self._fetch_digested(self._sha256)
        except ChangedFileError as error:
            self._fail(right, error)  # who reads hears that it changed, not that it is gone
            await self.kept.forget()
            raise
        right.set_result(None)
        await self.kept.finish()

    async def _fetch_digested(self, expected: str) -> None:
        self._digest_so_far = StreamDigest("sha256")
        digesting = asyncio.ensure_future(digest_of(self.kept, self._digest_so_far))
        try:
            await self.download.run()
            await self._check(expected, await digesting)
        finally:
            digesting.cancel()
            await asyncio.gather(digesting, return_exceptions=True)

    async def _check(self, expected: str, found: str) -> None:
        """Compare the digest of what came; fetch again what is wrong."""
        if found != expected:
            await repair(self.kept, self.download, "sha256", expected, name=self.name)

    def _stop_keeping(self, error: SourceError) -> UnkeptFile:
        """Go on without the store, and say so. What is in it stays for another time."""
        if self._unkept is None:
            source = self.keeper.open_ranges(self.name)
            if self.kept.learned:
                source.assume(self.kept.facts)
            digest = (self._digest_so_far or StreamDigest("sha256")) if self._sha256 else None
            self._unkept = UnkeptFile(self.kept, source, digest)
            warnings.warn(f"{self.name} is not kept: {error}", RuntimeWarning, stacklevel=2)
        return self._unkept

    async def _leading(self, work: Callable[[], Awaitable[None]], done: Callable[[], bool]) -> None:
        """Do ``work`` when no other process does, unless it is done by then."""
        kept = self.kept
        lead, self._lead = self._lead, None
        while lead is None:
            lead = await kept.backend.lock(f"{kept.model}/{kept.record.name}")
            if lead is None:
                await asyncio.sleep(FOLLOW_SECONDS)
                await kept.look()
                if done():
                    return
        try:
            await kept.look()
            if done():
                return
            if kept.blocks and not self.download.received:
                await kept.check_blocks()  # what an earlier process left
            await work()
        finally:
            self._lead = lead
            handing = asyncio.ensure_future(self._hand_over())
            self._handing.add(handing)
            handing.add_done_callback(self._handing.discard)

    async def _hand_over(self) -> None:
        """Let another process lead, once it finds what came; nobody here waits for that."""
        with suppress(SourceError):
            await self.kept.settle()
        lead, self._lead = self._lead, None
        if lead is not None:  # else there is more to do here
            try:
                await self.kept.let_go()
            finally:
                await lead.release()
