"""Where models are kept: what every backend of the store offers, and the one in memory.

A backend knows models by an id, the files of each by their names, and of each file blocks of equal
length (the last is shorter), written in any order. Beside a file lies a record, a small text.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from webllm_py.fetch.source import Chunk, bytes_of

__all__ = [
    "Backend",
    "BackendFile",
    "HeldLock",
    "MemoryBackend",
    "Room",
    "WorkerFile",
    "block_range",
]


@dataclass(frozen=True)
class Room:
    """How much a backend holds.

    Attributes:
        used: bytes in use: natively by the store, in a browser by the whole site.
        free: bytes that may still be written; None if that is not known.
        persistent: whether the browser promised not to evict them by itself.
    """

    used: int
    free: int | None
    persistent: bool = True


class HeldLock(Protocol):
    """A lock that is held."""

    async def release(self) -> None:
        """Release it."""


class BackendFile(Protocol):
    """An open file of a backend. Each of its calls may raise SourceError."""

    async def blocks(self) -> dict[int, bytes]:
        """The blocks that were written whole: the SHA-256 of each, by its number."""

    async def read(self, offset: int, length: int) -> Chunk:
        """Bytes that were written."""

    async def write(self, index: int, chunk: Chunk) -> bytes:
        """Write a block, atomically: after a crash it is there whole or not at all.

        Returns:
            Its SHA-256.
        """

    async def sha256(self, index: int) -> bytes:
        """The SHA-256 of a block as it is now."""

    async def drop(self, index: int) -> None:
        """Forget a block."""

    async def flush(self) -> None:
        """Wait until what was written is on the disk."""

    async def close(self) -> None:
        """Close the file."""


@runtime_checkable
class WorkerFile(BackendFile, Protocol):
    """A ``BackendFile`` that writes, digests and fetches outside of Python's thread.

    Attributes:
        broken: whether a block that was fetched could not be written.
    """

    broken: bool

    async def fetch(
        self,
        source: Any,
        first: int,
        last: int,
        expected: Sequence[str] | None,
        wrote: Callable[[int, str], None],
    ) -> list[int]:
        """Fetch the blocks from ``first`` to ``last``, inclusive, and write them.

        Args:
            source: the ``RangeSource`` to fetch from.
            expected: the SHA-256 that each must have, in hexadecimal digits; others are not
                written.
            wrote: told of each block that is written, with its SHA-256.

        Returns:
            The blocks that came with another digest.
        """

    async def let_go(self, *, whole: bool) -> None:
        """Others may write it, until something is written here again.

        Args:
            whole: all of it is there, and it is only read from now on, as far as is known.
        """

    async def sha256_of(self, pieces: AsyncIterable[tuple[int, int]]) -> str:
        """The SHA-256, in hexadecimal digits, of pieces of the file one after the other.

        Args:
            pieces: their offsets and lengths in bytes.
        """

    def release(self, chunk: Chunk) -> None:
        """Allow reuse of the memory of what ``read`` returned; it must not be read again."""


class Backend(Protocol):
    """A place where models are kept."""

    name: str
    """Its kind, shown and chosen by: "folder", "opfs", "cache", "indexeddb", "memory"."""

    async def models(self) -> list[str]:
        """Ids of all models."""

    async def files(self, model: str) -> list[str]:
        """Names of a model's files that have a record."""

    async def read_record(self, model: str, file: str = "") -> str | None:
        """A file's record, or the model's own; None if there is none."""

    async def write_record(self, model: str, file: str, text: str) -> None:
        """Write a file's record, or the model's own, over the one before."""

    async def open(
        self, model: str, file: str, size: int, block_bytes: int, *, complete: bool = False
    ) -> BackendFile:
        """Open a file of ``size`` bytes, a new one or one that was begun before.

        Args:
            complete: whether all of it is there as far as is known, and it will only be read.
        """

    async def delete(self, model: str, file: str | None = None) -> None:
        """Delete a file and its record, or the whole model; no error if there is none."""

    async def room(self) -> Room:
        """How much it holds, and may still hold."""

    async def persist(self) -> bool:
        """Ask the browser not to evict it; whether it agreed."""

    async def lock(self, name: str, *, shared: bool = False) -> HeldLock | None:
        """A lock on a name among all that use this backend; None if somebody else has it."""


def block_range(index: int, size: int, block_bytes: int) -> tuple[int, int]:
    """Where a block begins, and its length."""
    return index * block_bytes, min(block_bytes, size - index * block_bytes)


@dataclass
class NameLocks:
    """Locks on names within this process: how often each is shared, -1 for one that is not."""

    counts: dict[str, int] = field(default_factory=dict)

    def take(self, name: str, shared: bool) -> HeldLock | None:
        """See ``Backend.lock``."""
        count = self.counts.get(name, 0)
        if count < 0 or (count > 0 and not shared):
            return None
        self.counts[name] = count + 1 if shared else -1
        return NameLock(self, name)


class NameLock:
    """One of them, held."""

    def __init__(self, locks: NameLocks, name: str):
        self._locks, self._name = locks, name
        self._held = True

    async def release(self) -> None:
        """See ``HeldLock``."""
        if self._held:
            self._held = False
            counts = self._locks.counts
            counts[self._name] = max(0, counts[self._name] - 1)


class MemoryBackend:
    """Models in Python's memory, gone with the process: natively, and for tests."""

    name = "memory"

    def __init__(self, limit: int | None = None):
        """``limit``: bytes that may be held."""
        self._limit = limit
        self._records: dict[str, dict[str, str]] = {}
        self._blocks: dict[tuple[str, str], dict[int, tuple[bytes, bytes]]] = {}
        self._locks = NameLocks()

    async def models(self) -> list[str]:
        """See ``Backend``."""
        return sorted(self._records)

    async def files(self, model: str) -> list[str]:
        """See ``Backend``."""
        return sorted(name for name in self._records.get(model, {}) if name)

    async def read_record(self, model: str, file: str = "") -> str | None:
        """See ``Backend``."""
        return self._records.get(model, {}).get(file)

    async def write_record(self, model: str, file: str, text: str) -> None:
        """See ``Backend``."""
        self._records.setdefault(model, {})[file] = text

    async def open(
        self, model: str, file: str, size: int, block_bytes: int, *, complete: bool = False
    ) -> MemoryFile:
        """See ``Backend``."""
        return MemoryFile(self._blocks.setdefault((model, file), {}), block_bytes)

    async def delete(self, model: str, file: str | None = None) -> None:
        """See ``Backend``."""
        for key in list(self._blocks):
            if key[0] == model and file in (None, key[1]):
                del self._blocks[key]
        if file is None:
            self._records.pop(model, None)
        else:
            self._records.get(model, {}).pop(file, None)

    async def room(self) -> Room:
        """See ``Backend``."""
        used = sum(len(data) for file in self._blocks.values() for data, _ in file.values())
        return Room(used, None if self._limit is None else max(0, self._limit - used), False)

    async def persist(self) -> bool:
        """See ``Backend``."""
        return False

    async def lock(self, name: str, *, shared: bool = False) -> HeldLock | None:
        """See ``Backend``."""
        return self._locks.take(name, shared)


class MemoryFile:
    """A file of ``MemoryBackend``: of each block its bytes and their digest."""

    def __init__(self, blocks: dict[int, tuple[bytes, bytes]], block_bytes: int):
        self._blocks = blocks
        self._block_bytes = block_bytes

    async def blocks(self) -> dict[int, bytes]:
        """See ``BackendFile``."""
        return {index: digest for index, (_, digest) in self._blocks.items()}

    async def read(self, offset: int, length: int) -> Chunk:
        """See ``BackendFile``."""
        first, last = offset // self._block_bytes, (offset + length - 1) // self._block_bytes
        if length == 0:
            return memoryview(b"")
        data = b"".join(self._blocks[index][0] for index in range(first, last + 1))
        start = offset - first * self._block_bytes
        return memoryview(data)[start : start + length]

    async def write(self, index: int, chunk: Chunk) -> bytes:
        """See ``BackendFile``."""
        data = bytes_of(chunk)
        digest = hashlib.sha256(data).digest()
        self._blocks[index] = data, digest
        return digest

    async def sha256(self, index: int) -> bytes:
        """See ``BackendFile``."""
        return hashlib.sha256(self._blocks[index][0]).digest()

    async def drop(self, index: int) -> None:
        """See ``BackendFile``."""
        self._blocks.pop(index, None)

    async def flush(self) -> None:
        """See ``BackendFile``."""

    async def close(self) -> None:
        """See ``BackendFile``."""
