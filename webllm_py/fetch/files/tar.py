"""Tar archives (POSIX.1-2001), written and read in order: of one that is read, only the headers."""

from __future__ import annotations

import builtins
import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

from webllm_py.errors import SourceError
from webllm_py.fetch.files.targets import Sink
from webllm_py.fetch.source import ByteSource, Chunk

__all__ = ["TarFolder", "TarTarget", "open_tar"]

TAR_BLOCK = 512
MAX_EXTRA = 1 << 16  # bytes of the names and lengths before a file


class TarTarget:
    """One file that holds all of them."""

    def __init__(self, sink: Sink):
        self._sink = sink

    async def create(self, filename: str, size: int) -> Sink:
        """See ``Target``."""
        info = tarfile.TarInfo(filename)
        info.size = size
        await self._sink.write(info.tobuf(tarfile.PAX_FORMAT))
        return TarMember(self._sink, size)

    async def close(self) -> None:
        """See ``Target``."""
        await self._sink.write(bytes(2 * TAR_BLOCK))
        await self._sink.close()


class TarMember:
    """A file inside of one."""

    def __init__(self, sink: Sink, size: int):
        self._sink, self._padding = sink, -size % TAR_BLOCK

    async def write(self, chunk: Chunk) -> None:
        """See ``Sink``."""
        await self._sink.write(chunk)

    async def close(self) -> None:
        """See ``Sink``."""
        if self._padding:
            await self._sink.write(bytes(self._padding))


@dataclass
class Within:
    """A part of a file, as a ``ByteSource``."""

    name: str
    outer: ByteSource
    offset: int
    nbytes: int

    async def size(self) -> int:
        """See ``ByteSource``."""
        return self.nbytes

    async def read(self, offset: int, length: int) -> bytes:
        """See ``ByteSource``."""
        return await self.outer.read(self.offset + offset, length)

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """See ``ByteSource``."""
        return await self.outer.read_chunk(self.offset + offset, length)

    async def read_all(self, limit: int) -> bytes:
        """See ``ByteSource``."""
        if self.nbytes > limit:
            raise SourceError(f"{self.name} has {self.nbytes} bytes; at most {limit} are expected")
        return await self.read(0, self.nbytes)

    async def pause(self) -> None:
        """See ``ByteSource``."""

    async def close(self) -> None:
        """See ``ByteSource``; the outer file stays open."""


class TarFolder:
    """A tar archive, as a ``Folder``."""

    def __init__(self, name: str, members: dict[str, Within]):
        self.name = name
        self._members = members

    async def open(self, filename: str) -> ByteSource:
        """See ``Folder``."""
        if filename not in self._members:
            raise SourceError(f"{self.name} holds no {filename}: it is no exported model.")
        return self._members[filename]

    async def exists(self, filename: str) -> bool:
        """See ``Folder``."""
        return filename in self._members

    async def list(self) -> builtins.list[str]:
        """See ``Folder``."""
        return sorted(self._members)


async def open_tar(source: ByteSource) -> TarFolder:
    """The files of a tar archive, of which only the headers are read.

    Raises:
        SourceError: it is none.
    """
    return TarFolder(source.name, {m.name: m async for m in tar_members(source)})


async def tar_members(source: ByteSource) -> AsyncIterator[Within]:
    """Each file of a tar archive."""
    total = await source.size() or 0
    at = 0
    while at + TAR_BLOCK <= total:
        head = await source.read(at, min(3 * TAR_BLOCK, total - at))
        if not any(head[:TAR_BLOCK]):
            return
        try:
            # A long name or length has a header of its own (PAX) before the usual one.
            count = 1
            if head[156:157] == b"x":
                extra = tarfile.TarInfo.frombuf(head[:TAR_BLOCK], "utf-8", "strict").size
                if not 0 < extra <= MAX_EXTRA:
                    raise ValueError(f"a header of {extra} bytes")
                count = 2 + -(-extra // TAR_BLOCK)
                head = await source.read(at, count * TAR_BLOCK)
            with tarfile.open(fileobj=io.BytesIO(head), mode="r:") as archive:
                info = archive.next()
        except (tarfile.TarError, ValueError, UnicodeError) as error:
            raise SourceError(f"{source.name} is no tar archive: {error}") from error
        if info is None:
            raise SourceError(f"{source.name} is no tar archive.")
        start = at + count * TAR_BLOCK
        if not 0 <= info.size <= total - start:  # tar's numbers may be negative
            raise SourceError(
                f"{source.name} is incomplete or damaged: it has {total} bytes, and {info.name} in "
                f"it {info.size} from byte {start} on."
            )
        yield Within(info.name, source, start, info.size)
        at = start + info.size + -info.size % TAR_BLOCK
