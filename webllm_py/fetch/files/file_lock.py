"""Locks on files, by which processes keep out of each other's way."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["FileLock", "is_at", "lock_file"]


class FileLock:
    """A lock on an open file; the system lets go of it when the process dies.

    Args:
        path: of the file, to be removed in the end.
    """

    def __init__(self, file: BinaryIO, path: Path | None):
        self._file, self._path = file, path

    async def release(self) -> None:
        """See ``HeldLock``."""
        if self._path:
            with contextlib.suppress(OSError):  # Windows removes no open file
                self._path.unlink()
        self._path = None
        self._file.close()


def is_at(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def lock_file(file: BinaryIO, shared: bool) -> bool:
    """Lock an open file without waiting; whether that was possible."""
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(file, shared)
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


READERS = 64  # places of a lock file, of which one that shares takes one, and one alone takes all


def _lock_on_windows(file: BinaryIO, shared: bool) -> bool:
    msvcrt: Any = __import__("msvcrt")
    for place in range(READERS) if shared else (0,):
        file.seek(place)
        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1 if shared else READERS)
            return True
    return False
