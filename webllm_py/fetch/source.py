"""Where bytes come from: the two protocols that every source implements.

A ``ByteSource`` is one file, a ``Folder`` is a set of named files. Neither knows what the bytes
mean; checkpoints know nothing of where they lie.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

__all__ = ["ByteSource", "Chunk", "Folder"]

# Bytes on their way to the GPU: ``bytes`` or ``memoryview`` natively, a JavaScript ``Uint8Array``
# (as a ``JsProxy``) in the browser, so that weights never enter the wasm heap.
# ``gpu.Device.write`` takes each of them.
Chunk: TypeAlias = Any


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

    async def close(self) -> None:
        """Let go of connections and handles; the source cannot be read afterwards."""


class Folder(Protocol):
    """A set of named files: a directory, a URL prefix, files that a user picked."""

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
        """The names of all files; None where that cannot be known (a URL prefix)."""
