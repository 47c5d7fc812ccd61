"""Where an exported model goes: files that are written from their beginnings, on disk for one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from webllm_py.concurrency import in_thread
from webllm_py.errors import SourceError
from webllm_py.fetch.files.disk import named_errors
from webllm_py.fetch.source import Chunk

__all__ = ["FolderTarget", "LocalSink", "Sink", "Target"]


class Sink(Protocol):
    """A file that is written from its beginning."""

    async def write(self, chunk: Chunk) -> None:
        """Add bytes."""

    async def close(self) -> None:
        """All of it was written."""


class Target(Protocol):
    """Where a model goes."""

    async def create(self, filename: str, size: int) -> Sink:
        """A new file of a length."""

    async def close(self) -> None:
        """All files were written."""


class LocalSink:
    """A file on disk; what lies there is only overwritten once there are bytes for it."""

    def __init__(self, path: Path):
        self._path = path
        self._begun = False

    async def write(self, chunk: Chunk) -> None:
        """See ``Sink``."""
        with named_errors(self._path):
            await in_thread(lambda: self._append(chunk))

    async def close(self) -> None:
        """See ``Sink``."""
        if not self._begun:
            await self.write(b"")

    def _append(self, chunk: Chunk) -> None:
        if not self._begun:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab" if self._begun else "wb") as file:
            file.write(chunk)
        self._begun = True


class FolderTarget:
    """A folder on disk."""

    def __init__(self, folder: Path):
        self._folder = folder

    async def create(self, filename: str, size: int) -> Sink:
        """See ``Target``."""
        path = self._folder / filename
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise SourceError(f"{filename!r} leads out of {self._folder}")
        return LocalSink(path)

    async def close(self) -> None:
        """See ``Target``."""
