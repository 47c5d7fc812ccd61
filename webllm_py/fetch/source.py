"""Where bytes come from: the protocols that sources implement, and what all of them need.

A ``ByteSource`` is one file, a ``Folder`` is a set of named files. Neither knows what the bytes
mean, and checkpoints do not know where they come from. A cache, a resumed or a verified download is
a ``ByteSource`` that wraps another.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias, runtime_checkable

from webllm_py.errors import SourceError

__all__ = [
    "AheadSource",
    "ByteSource",
    "Chunk",
    "Folder",
    "Keeper",
    "VerifiedSource",
    "base_name",
    "bytes_of",
    "check_range",
    "closed_on_error",
    "join_chunks",
    "part_of",
]

# Bytes on their way to the GPU: ``bytes`` or ``memoryview`` natively, a JavaScript ``Uint8Array``
# (as a ``JsProxy``) in the browser, so that weights never enter the wasm heap.
# ``gpu.Device.write`` takes each of them.
Chunk: TypeAlias = Any


@runtime_checkable
class ByteSource(Protocol):
    """One file that can be read at any place; reading forwards is the fast way."""

    name: str
    """Path or URL, for messages."""

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``, into Python's memory: for headers.

        Raises:
            SourceError: the bytes cannot be had; a file that ends early says where it ended.
        """

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """As ``read``, but the bytes stay outside Python's memory where that is possible."""

    async def read_all(self, limit: int) -> bytes:
        """The whole file, also where its size is not known: for small text files.

        Raises:
            SourceError: the bytes cannot be had, or are more than ``limit``.
        """

    async def pause(self) -> None:
        """Let go of the open connection, if there is one; the next read opens a new one.

        A reply left half read occupies one of the few connections that a browser grants a host.
        """

    async def close(self) -> None:
        """Let go of connections and handles; the source cannot be read afterwards."""


@runtime_checkable
class AheadSource(ByteSource, Protocol):
    """A ``ByteSource`` that can fetch bytes while Python computes, if it is told which."""

    def expect(self, offset: int, length: int) -> None:
        """Announce a ``read_chunk`` of these bytes, after those that were announced before.

        Bytes that are announced and never read stay in memory. Errors are raised by the read. Other
        reads in between work, but are slower.
        """

    def release(self, chunk: Chunk) -> None:
        """Allow reuse of the memory of what ``read_chunk`` returned; it must not be read again."""


class Keeper(Protocol):
    """What keeps the files of a model."""

    async def make_room(self, nbytes: int) -> None:
        """See to it that ``nbytes`` more bytes can be kept.

        Raises:
            StorageFullError: they cannot; says how many are missing.
        """

    async def stored_bytes(self, filename: str) -> int:
        """Bytes of a file that are kept already."""


@runtime_checkable
class VerifiedSource(Protocol):
    """A ``ByteSource`` that can tell whether the whole file is right."""

    @property
    def keeper(self) -> Keeper | None:
        """What keeps the file, if anything does."""

    async def missing_bytes(self) -> int:
        """Bytes that are not kept yet."""

    async def verify(self) -> bool:
        """Read what was not read yet, and check the whole file.

        Returns:
            Whether bytes have changed since they were read.

        Raises:
            CorruptCheckpointError: the file is damaged.
            SourceError: it cannot be had.
        """


@runtime_checkable
class Folder(Protocol):
    """A set of named files: a directory, a URL prefix, files that a user picked.

    File names use ``/`` between folders.
    """

    name: str

    async def open(self, filename: str) -> ByteSource:
        """The file of that name.

        Raises:
            MissingFileError: no such file.
            SourceError: it cannot be had.
        """

    async def exists(self, filename: str) -> bool:
        """Whether the file is there."""

    async def list(self) -> list[str] | None:
        """The names of the files, sorted; None where they cannot be listed (a URL prefix)."""


class Closable(Protocol):
    """What holds connections or handles."""

    async def close(self) -> None:
        """Let go of them."""


@asynccontextmanager
async def closed_on_error(*opened: Closable) -> AsyncIterator[None]:
    """Close what is opened if the block raises or is cancelled; else it stays open."""
    try:
        yield
    except BaseException:
        for one in opened:
            await one.close()
        raise


def part_of(chunk: Chunk, start: int, stop: int) -> Chunk:
    """Some of a chunk's bytes, without copying them."""
    if hasattr(chunk, "subarray"):
        return chunk.subarray(start, stop)
    return memoryview(chunk)[start:stop]


def bytes_of(chunk: Chunk) -> bytes:
    """A chunk's bytes, in Python's memory."""
    return bytes(chunk.to_bytes() if hasattr(chunk, "to_bytes") else chunk)


def join_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """One chunk of the bytes of all. They are of one kind: Python's, or JavaScript's."""
    if len(chunks) == 1:
        return chunks[0]
    if hasattr(chunks[0], "subarray"):
        length = sum(len(chunk) for chunk in chunks)
        joined = chunks[0].constructor.new(length)
        at = 0
        for chunk in chunks:
            joined.set(chunk, at)
            at += len(chunk)
        return joined
    return b"".join(chunks)


def check_range(name: str, size: int | None, offset: int, length: int) -> None:
    """Raise SourceError if ``length`` bytes from ``offset`` reach past the end of the file."""
    if offset < 0 or length < 0:
        raise SourceError(f"{name}: cannot read {length} bytes from offset {offset}")
    if size is not None and offset + length > size:
        raise SourceError(
            f"{name} ends at byte {size}, but bytes {offset} to {offset + length} are needed: "
            "the file is incomplete. Download or copy it again."
        )


def base_name(name: str) -> str:
    """The last part of a path or URL, as a name for people.

    For a folder on the Hugging Face hub (.../org/name/resolve/main/) it is the repository's name.
    """
    path = re.sub(r"^([a-z]+://[^?#]*).*", r"\1", name).rstrip("/\\")
    path = re.sub(r"/resolve/[^/]+$", "", path)
    return re.split(r"[/\\]", path)[-1]
