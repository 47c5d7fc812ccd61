"""Files on a disk: opened, measured, and what goes wrong as this package's errors."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from webllm_py.errors import SourceError, StorageFullError

__all__ = ["named_errors", "open_for_update", "replace_text", "taken"]

NO_SPACE = (28, 122)  # ENOSPC, EDQUOT


def open_for_update(path: Path) -> BinaryIO:
    """A file to read and write anywhere, made if there is none; what it holds stays."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+b")  # else they could be executed


def replace_text(path: Path, text: str) -> None:
    """Write a file, in a folder that is made if there is none. Another process reads the old text
    or the new one, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def taken(path: Path) -> int:
    """Bytes of the disk that a file takes: one that is half written has holes."""
    with contextlib.suppress(OSError):
        found = path.stat()
        blocks = getattr(found, "st_blocks", None)
        return found.st_size if blocks is None else min(found.st_size, 512 * blocks)
    return 0


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors into SourceError."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(
                f"{path} cannot be written: the disk is full. Make room, delete a model "
                "(webllm_py.models_store()), or load with keep=False.",
                needed=0,
                free=0,
            ) from error
        raise SourceError(f"{path}: {error.strerror or error}") from error
