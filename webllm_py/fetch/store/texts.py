"""Small texts that are kept from one load to the next, for this user on this machine."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from webllm_py.errors import SourceError
from webllm_py.fetch.files.disk import replace_text

__all__ = ["FolderStore", "TextStore", "open_store", "user_cache_folder"]


class TextStore(Protocol):
    """Texts by name. What cannot be kept is lost without harm: it can be made again."""

    async def read(self, name: str) -> str | None:
        """The text, None if there is none.

        Raises:
            SourceError: it cannot be read.
        """

    async def write(self, name: str, text: str) -> None:
        """Keep a text in the place of what has that name.

        Raises:
            SourceError: it cannot be written.
        """


class FolderStore:
    """Files of a folder, as a ``TextStore``."""

    def __init__(self, folder: Path):
        self.folder = folder

    async def read(self, name: str) -> str | None:
        """See ``TextStore``."""
        path = self.folder / name
        try:
            return path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SourceError(f"{path} cannot be read: {error}") from error

    async def write(self, name: str, text: str) -> None:
        """See ``TextStore``."""
        path = self.folder / name
        try:
            replace_text(path, text)
        except OSError as error:
            raise SourceError(f"{path} cannot be written: {error}") from error


def open_store(kind: str) -> TextStore:
    """Where texts of a kind are kept: the user's cache folder, or the browser's cache."""
    if sys.platform == "emscripten":
        from webllm_py.fetch.browser import CacheStore

        return CacheStore(kind)
    return FolderStore(user_cache_folder() / kind)


def user_cache_folder() -> Path:
    """Where this package keeps what can be made again, and answers and documents: made, if it is
    not there, for this user alone (as the XDG Base Directory Specification has it)."""
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "webllm_py"
    with suppress(OSError):  # whoever writes there is told
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
