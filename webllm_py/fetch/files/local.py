"""Files and directories by path: CPython's disk, or Pyodide's in-memory file system."""

from __future__ import annotations

import asyncio
import builtins
import os
import threading
from pathlib import Path
from typing import BinaryIO

from webllm_py.concurrency import HAS_THREADS
from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.source import check_range

__all__ = ["LocalFile", "LocalFolder"]

# Below this, handing a read to a thread costs more than the read.
THREAD_FROM = 1 << 20


class LocalFile:
    """One file on disk, as a ``ByteSource``."""

    def __init__(self, path: str | os.PathLike[str]):
        """Open the file.

        Raises:
            SourceError: there is no such file, or it cannot be read.
        """
        self.name = os.fspath(path)
        if not Path(path).is_file():
            what = "is not a file" if Path(path).exists() else "does not exist"
            raise SourceError(f"{self.name} {what}")
        try:
            self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 - lives until close()
        except OSError as error:
            raise SourceError(f"{self.name} cannot be opened: {error.strerror}") from error
        self._size = os.fstat(self._file.fileno()).st_size
        # Seek and read belong together, and a cancelled read may still run in its thread.
        self._lock = threading.Lock()

    async def size(self) -> int:
        """Length in bytes."""
        return self._size

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        check_range(self.name, self._size, offset, length)
        if length < THREAD_FROM or not HAS_THREADS:
            return self._read(offset, length)
        return await asyncio.to_thread(self._read, offset, length)

    async def read_chunk(self, offset: int, length: int) -> bytes:
        """As ``read``."""
        return await self.read(offset, length)

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes."""
        if self._size > limit:
            raise SourceError(f"{self.name} has {self._size} bytes; at most {limit} are expected")
        return await self.read(0, self._size)

    async def pause(self) -> None:
        """Nothing to let go of: an open file costs nothing."""

    async def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _read(self, offset: int, length: int) -> bytes:
        with self._lock:
            if self._file.closed:
                raise SourceError(f"{self.name} was closed")
            try:
                self._file.seek(offset)
                data = self._file.read(length)
            except OSError as error:
                raise SourceError(f"{self.name} cannot be read: {error.strerror}") from error
        if len(data) < length:
            raise SourceError(
                f"{self.name} ended at byte {offset + len(data)}, but had {self._size} bytes when "
                "it was opened: something else is writing to it."
            )
        return data


class LocalFolder:
    """A directory, as a ``Folder``."""

    def __init__(self, path: str | os.PathLike[str], name: str | None = None):
        """``name``: for messages; None for the path itself."""
        self.name = name or os.fspath(path)
        self._path = Path(path)

    async def open(self, filename: str) -> LocalFile:
        """The file of that name; MissingFileError if there is none."""
        if not await self.exists(filename):
            raise MissingFileError(f"{self.name} holds no {filename}")
        return LocalFile(self._path / filename)

    async def exists(self, filename: str) -> bool:
        """Whether the file is there."""
        return (self._path / filename).is_file()

    async def list(self) -> builtins.list[str]:
        """Names of the files directly in the directory."""
        try:
            return sorted(entry.name for entry in self._path.iterdir() if entry.is_file())
        except OSError as error:
            raise SourceError(f"{self.name} cannot be listed: {error.strerror}") from error
