"""One file of a store: what is known of it, and which of its blocks are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from webllm_py.errors import ChangedFileError, SourceError
from webllm_py.fetch.backends.backend import Backend, BackendFile, WorkerFile, block_range
from webllm_py.fetch.backends.records import FileRecord
from webllm_py.fetch.downloads.block_digests import BlockDigests
from webllm_py.fetch.downloads.write_behind import HeldBytes, WriteBehind
from webllm_py.fetch.http.url import FileFacts
from webllm_py.fetch.source import Chunk

__all__ = ["CachedFile", "open_cached"]

# A file is opened with this length while its own is not known.
UNKNOWN = 1 << 60


class CachedFile:
    """A file in a store, complete or not.

    Attributes:
        record: what is written down of it.
        blocks: the SHA-256 of each block that is in the store, by its number; empty where it was
            not read.
        wanted: the block that is read next: what is missing from there on is fetched first.
        digested: the block that a digest of the whole file has come to; None while there is none.
        digests: what each block must be, where somebody knows it.
        replaced: whether blocks changed after they could have been read.
    """

    def __init__(
        self,
        backend: Backend,
        model: str,
        record: FileRecord,
        shared: HeldBytes | None = None,
    ):
        """``shared`` counts what all files of the model hold in memory."""
        self.backend = backend
        self.model = model
        self.record = record
        self.blocks: dict[int, bytes] = {}
        self.wanted = 0
        self.digested: int | None = None
        self.digests = BlockDigests()
        self.replaced = False
        self._expected = record.sha256
        self._file: BackendFile | None = None
        self._behind = WriteBehind(self._store, shared or HeldBytes())
        self._pulse = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def url(self) -> str:
        """Where it comes from."""
        return self.record.url

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return self.record.block_bytes

    @property
    def learned(self) -> bool:
        """Whether its length is known."""
        return self.record.size is not None

    @property
    def ranges(self) -> bool:
        """Whether its server heeds ranges."""
        return self.record.ranges

    @ranges.setter
    def ranges(self, ranges: bool) -> None:
        self.record = replace(self.record, ranges=ranges)

    @property
    def facts(self) -> FileFacts:
        """What replies must agree with. Where the digest is known, it says more than headers do."""
        record = self.record
        if self._expected:
            return FileFacts(record.size, ranges=record.ranges)
        return FileFacts(record.size, record.etag, record.modified, record.ranges)

    @property
    def file(self) -> BackendFile:
        """The backend's file."""
        if self._file is None:
            raise SourceError(f"{self.url} was closed")
        return self._file

    async def look(self) -> None:
        """Learn what the store has of it, also of what another process has written meanwhile."""
        text = await self.backend.read_record(self.model, self.record.name)
        record = FileRecord.from_json(text)
        if record is None or record.size is None:
            return
        if urlsplit(record.url).path != urlsplit(self.url).path:  # a mirror's host may be another
            return
        if self._expected and record.sha256 not in (None, self._expected):
            return
        before = self.record
        if (record.size, record.etag, record.modified) != (
            before.size,
            before.etag,
            before.modified,
        ):
            await self.close_file()  # another process began anew
        if self._file is None:
            self._file = await self.backend.open(
                self.model,
                record.name,
                record.size,
                record.block_bytes,
                complete=record.complete,
            )
        self.record = record
        if record.complete:  # looking at thousands of blocks takes seconds in a browser
            self.blocks = dict.fromkeys(range(self.count), b"")
        else:
            known = dict(self.blocks)
            found = await self._file.blocks()
            # ``found`` may lack blocks that were written while the file was looked at.
            self.blocks = found | dict(self.blocks.items() - known.items())
        self.pulse()

    async def check_blocks(self) -> int:
        """Compare the blocks with their digests, and forget those that are wrong.

        Returns:
            How many of the blocks that should be there are wrong or gone.
        """
        await self._behind.settle()
        await self._behind.drop()
        expected = len(self.blocks)
        self.blocks = await self.file.blocks()
        wrong = [i for i, digest in self.blocks.items() if await self.file.sha256(i) != digest]
        for index in wrong:
            await self.file.drop(index)
            del self.blocks[index]
        if self.record.complete and self.missing():
            self.record = replace(self.record, complete=False)
            await self._write_record()
        return expected - len(self.blocks)

    async def begin(self, facts: FileFacts, *, ranges: bool) -> None:
        """Begin with what a reply told of the file; blocks of an earlier version are deleted."""
        await self.forget()
        self.record = replace(
            self.record,
            size=facts.size,
            etag=facts.etag,
            modified=facts.modified,
            ranges=ranges,
            complete=False,
        )
        size = UNKNOWN if facts.size is None else facts.size
        self._file = await self.backend.open(self.model, self.record.name, size, self.block_bytes)
        await self._write_record()
        self.pulse()

    async def end(self, size: int) -> None:
        """All of the file came, which only now tells its length."""
        await self._behind.settle()
        self.record = replace(self.record, size=size)
        await self.close_file()
        self._file = await self.backend.open(self.model, self.record.name, size, self.block_bytes)
        self.pulse()

    async def finish(self) -> None:
        """Write down that all of it is there and right."""
        await self._behind.settle()
        await self.file.flush()
        self.record = replace(self.record, complete=True)
        await self._write_record()
        self.pulse()

    async def forget(self) -> None:
        """Delete what there is of it."""
        await self._behind.drop()
        self.blocks = {}
        self.record = FileRecord(
            self.record.name, self.url, sha256=self._expected, block_bytes=self.block_bytes
        )
        await self.close_file()
        await self.backend.delete(self.model, self.record.name)

    async def write(self, index: int, chunk: Chunk) -> None:
        """Take a block that came: it can be read at once, and is stored soon.

        Raises:
            SourceError: it cannot be stored, or one before it could not.
        """
        await self._behind.put(index, chunk)
        self.pulse()

    @property
    def worker_file(self) -> WorkerFile | None:
        """The backend's file, if it fetches, digests and writes without Python."""
        return self._file if isinstance(self._file, WorkerFile) else None

    async def fetch(self, file: WorkerFile, source: Any, first: int, last: int) -> list[int]:
        """Have the backend's file fetch blocks: see ``WorkerFile``.

        Raises:
            SourceError: they cannot be had, or cannot be kept.
        """
        digests = await self.digests.of(self.count)
        expected = [digest.hex() for digest in digests[first : last + 1]] if digests else None

        def wrote(index: int, digest: str) -> None:
            self._note(index, bytes.fromhex(digest))
            self.pulse()

        return await file.fetch(source, first, last, expected, wrote)

    @property
    def held(self) -> Mapping[int, Chunk]:
        """The blocks that are in memory, by number: those that the store does not have yet, and
        some that may be read soon."""
        return self._behind.held

    def free_read(self) -> None:
        """Free the memory of blocks that are stored, and before what is read or digested next."""
        digested = self.wanted if self.digested is None else self.digested
        self._behind.release(min(self.wanted, digested))

    async def settle(self) -> None:
        """Wait until all that came is in the store.

        Raises:
            SourceError: it cannot be kept.
        """
        await self._behind.settle()

    def blocks_of(self, offset: int, length: int) -> range:
        """The blocks that these bytes are in."""
        if length <= 0:
            return range(0)
        return range(offset // self.block_bytes, (offset + length - 1) // self.block_bytes + 1)

    def has(self, offset: int, length: int) -> bool:
        """Whether these bytes came."""
        return self._file is not None and all(i in self for i in self.blocks_of(offset, length))

    @property
    def failed(self) -> bool:
        """Whether the store failed to take what came."""
        return self._behind.failed or (self.worker_file is not None and self.worker_file.broken)

    def __contains__(self, index: int) -> bool:
        """Whether a block came."""
        return index in self.blocks or index in self._behind.held

    async def read_stored(self, offset: int, length: int) -> Chunk:
        """Bytes of blocks that are in the store.

        Raises:
            SourceError: they cannot be read; a ChangedFileError where they were deleted because the
                server has another file now.
        """
        try:
            return await self.file.read(offset, length)
        except SourceError as error:
            if isinstance(self._error, ChangedFileError):
                raise self._error from error
            raise

    async def wait_for(self, index: int) -> None:
        """Wait until a block is there.

        Raises:
            SourceError: it will not come.
        """
        while index not in self:
            if self._error is not None:
                raise self._error
            await self._pulse.wait()

    def fail(self, error: BaseException | None) -> None:
        """Raise this for those who wait for blocks; None: blocks may come again."""
        self._error = error
        self.pulse()

    def pulse(self) -> None:
        """Wake those who wait for blocks: something changed."""
        self._pulse.set()
        self._pulse = asyncio.Event()

    def range(self, index: int) -> tuple[int, int]:
        """Where a block begins, and its length, in bytes."""
        size = UNKNOWN if self.record.size is None else self.record.size
        return block_range(index, size, self.block_bytes)

    @property
    def count(self) -> int:
        """Number of its blocks, the missing ones too; 0 while its length is not known."""
        return self.record.count

    def missing(self) -> list[int]:
        """The blocks that are not there, in order."""
        return [index for index in range(self.count) if index not in self]

    def missing_bytes(self) -> int:
        """Bytes that are still to come, as far as is known."""
        return sum(self.range(index)[1] for index in self.missing())

    async def close_file(self) -> None:
        """Close the backend's file, after what came is written, if that can be."""
        with suppress(SourceError):
            await self._behind.settle()
        await self._behind.drop()
        if self._file is not None:
            file, self._file = self._file, None
            await file.close()

    async def let_go(self) -> None:
        """Another process may write from now on, until this one does so again."""
        if self.worker_file is not None:
            with suppress(SourceError):
                await self.worker_file.let_go(whole=self.record.complete)

    async def _store(self, index: int, chunk: Chunk) -> None:
        self._note(index, await self.file.write(index, chunk))

    def _note(self, index: int, digest: bytes) -> None:
        self.replaced |= self.blocks.get(index, digest) != digest
        self.blocks[index] = digest

    async def _write_record(self) -> None:
        record = self.record
        if not record.complete:
            record = replace(record, sha256=self._expected)
        await self.backend.write_record(self.model, record.name, record.to_json())


@asynccontextmanager
async def open_cached(
    backend: Backend, model: str, record: FileRecord
) -> AsyncIterator[CachedFile]:
    """A file of the store as it is there, to be read or checked; closed at the end."""
    cached = CachedFile(backend, model, record)
    try:
        await cached.look()
        yield cached
    finally:
        await cached.close_file()
