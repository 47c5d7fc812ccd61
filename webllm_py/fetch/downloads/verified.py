"""Files whose length and MD5 are known before: checked while they are read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol, runtime_checkable

from webllm_py.errors import CorruptCheckpointError, SourceError, WebLLMError
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.source import (
    ByteSource,
    Chunk,
    Folder,
    Keeper,
    VerifiedSource,
    bytes_of,
    check_range,
)

__all__ = ["VerifiedFile"]

BLOCK_BYTES = 1 << 20


@runtime_checkable
class Repairable(Protocol):
    """A file that can be had again where it came damaged."""

    async def repair(self, algorithm: str, digest: str) -> None:
        """Make it what it must be.

        Raises:
            CorruptCheckpointError: the server's file has another digest.
        """


class VerifiedFile:
    """A file of a folder, as a ``ByteSource``; opened when it is first read, let go at its end.

    Its digest grows as it is read forwards; what is skipped is read for it. The read that comes to
    the file's end raises if the digest is wrong; ``verify`` reads what is left.

    Args:
        nbytes: its length.
        md5: its digest in hexadecimal digits; None if it is not known.

    Attributes:
        following: the file that will be read next. It is opened while this one is read: a server's
            answer takes its time.
        replaced: whether it was fetched again because it came damaged, after parts had been read.
    """

    following: VerifiedFile | None = None
    replaced = False

    def __init__(self, folder: Folder, filename: str, nbytes: int, md5: str | None):
        self.name = f"{folder.name.rstrip('/')}/{filename}"
        self.folder = folder
        self.filename = filename
        self._nbytes = nbytes
        self._md5 = md5
        self._digest = StreamDigest("md5")
        self._source: ByteSource | None = None
        self._lock = asyncio.Lock()
        self._opening: asyncio.Future[None] | None = None
        self._closed = False

    async def size(self) -> int:
        """Length in bytes."""
        return self._nbytes

    async def read(self, offset: int, length: int) -> bytes:
        """See ``ByteSource``."""
        return bytes_of(await self.read_chunk(offset, length))

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """See ``ByteSource``.

        Raises:
            CorruptCheckpointError: the file has another length or digest.
        """
        check_range(self.name, self._nbytes, offset, length)
        async with self._lock:
            await self._digest_to(offset)
            return await self._read(offset, length)

    async def read_all(self, limit: int) -> bytes:
        """See ``ByteSource``."""
        if self._nbytes > limit:
            raise SourceError(f"{self.name} has {self._nbytes} bytes; at most {limit} are expected")
        return await self.read(0, self._nbytes)

    async def check_size(self) -> None:
        """See whether the file is there and of its length.

        Raises:
            MissingFileError: it is not there.
            CorruptCheckpointError: it has another length.
        """
        async with self._lock:
            await self._open()
            await self._let_go()

    async def verify(self) -> bool:
        """Read what was not read yet, for the digest; whether bytes changed that were read before.

        Raises:
            CorruptCheckpointError: the file has another length or digest.
        """
        async with self._lock:
            await self._digest_to(self._nbytes)
        replaced, self.replaced = self.replaced, False
        return replaced

    @property
    def keeper(self) -> Keeper | None:
        """See ``VerifiedSource``."""
        keeper: Keeper | None = getattr(self.folder, "model", None)
        return keeper

    async def missing_bytes(self) -> int:
        """See ``VerifiedSource``."""
        cached = await self.keeper.stored_bytes(self.filename) if self.keeper else 0
        return self._nbytes - cached

    async def pause(self) -> None:
        """See ``ByteSource``."""
        if self._source is not None:
            await self._source.pause()

    async def close(self) -> None:
        """See ``ByteSource``."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._let_go()

    def begin(self) -> None:
        """Open the file soon. What goes wrong is for the read to find."""
        if self._opening is None and not self._closed:
            self._opening = asyncio.ensure_future(self._open_early())

    async def _open_early(self) -> None:
        with suppress(WebLLMError):
            async with self._lock:
                await self._open()

    async def _open(self) -> ByteSource:
        if self._closed:
            raise SourceError(f"{self.name} was closed")
        if self._source is None:
            self._source = await self.folder.open(self.filename)
            size = await self._source.size()
            if size is not None and size != self._nbytes:
                await self._let_go()
                what = "is incomplete" if size < self._nbytes else "is damaged"
                raise CorruptCheckpointError(
                    f"{self.name} {what}: it has {size} bytes, the model's index says "
                    f"{self._nbytes}. Download it again."
                )
        return self._source

    async def _let_go(self) -> None:
        if self._source is not None:
            source, self._source = self._source, None
            await source.close()

    async def _digest_to(self, offset: int) -> None:
        """Read for the digest up to a place."""
        while self._md5 and self._digest.length < offset:
            length = min(BLOCK_BYTES, offset - self._digest.length)
            await self._read(self._digest.length, length)

    async def _read(self, offset: int, length: int) -> Chunk:
        source = await self._open()
        if self.following is not None:
            self.following.begin()
        chunk = await source.read_chunk(offset, length)
        if (
            self._md5
            and await self._digest.follow(offset, chunk)
            and self._digest.length == self._nbytes
        ):
            await self._compare(source, self._md5)
        if offset + length == self._nbytes:
            if isinstance(source, VerifiedSource):  # all of it is kept then
                self.replaced |= await source.verify()
            await self._let_go()
        return chunk

    async def _compare(self, source: ByteSource, expected: str) -> None:
        found = self._digest.hexdigest()
        if found == expected.lower():
            return
        if isinstance(source, Repairable):
            await source.repair("md5", expected.lower())
            self.replaced = True
        else:
            raise CorruptCheckpointError(
                f"{self.name} is damaged: its MD5 is {found}, the model's index says {expected}. "
                "Download it again."
            )
