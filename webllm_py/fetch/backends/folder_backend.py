"""Models in a folder of the disk.

::

    <id>/model.json             the model's record
    <id>/files/<name>           the files themselves, as they were on their server
    <id>/records/<name>.json    of each its record
    <id>/records/<name>.blocks  and the SHA-256 of each block that was written, 32 zeros for others
    locks/                      files that a process holds a lock on

``/`` in a name is written ``%2F``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from webllm_py.concurrency import in_thread
from webllm_py.errors import SourceError
from webllm_py.fetch.backends.backend import HeldLock, Room, block_range
from webllm_py.fetch.files.disk import (
    named_errors,
    open_for_update,
    replace_text,
    taken,
)
from webllm_py.fetch.files.file_lock import FileLock, is_at, lock_file
from webllm_py.fetch.files.local import THREAD_FROM
from webllm_py.fetch.source import Chunk

__all__ = ["FolderBackend"]

Result = TypeVar("Result")
DIGEST_BYTES = 32
NONE = bytes(DIGEST_BYTES)


class FolderBackend:
    """A folder, as a ``Backend``. Several processes may use it at once."""

    name = "folder"

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)

    async def models(self) -> list[str]:
        """See ``Backend``."""
        with named_errors(self.folder):
            return sorted(path.parent.name for path in self.folder.glob("*/model.json"))

    async def files(self, model: str) -> list[str]:
        """See ``Backend``."""
        with named_errors(self.folder):
            records = (self.folder / model / "records").glob("*.json")
            return sorted(unquote(path.name.removesuffix(".json")) for path in records)

    async def read_record(self, model: str, file: str = "") -> str | None:
        """See ``Backend``."""
        path = self._record(model, file)
        with named_errors(path):
            try:
                return path.read_text("utf-8")
            except (FileNotFoundError, UnicodeDecodeError):
                return None

    async def write_record(self, model: str, file: str, text: str) -> None:
        """See ``Backend``."""
        path = self._record(model, file)
        with named_errors(path):
            replace_text(path, text)

    async def open(
        self, model: str, file: str, size: int, block_bytes: int, *, complete: bool = False
    ) -> FolderFile:
        """See ``Backend``."""
        data = self.folder / model / "files" / file_name(file)
        digests = self.folder / model / "records" / f"{file_name(file)}.blocks"
        with named_errors(data):
            data.parent.mkdir(parents=True, exist_ok=True)
            digests.parent.mkdir(parents=True, exist_ok=True)
            return FolderFile(data, digests, size, block_bytes)

    async def delete(self, model: str, file: str | None = None) -> None:
        """See ``Backend``."""
        folder = self.folder / model
        with named_errors(folder):
            if file is None:
                # First what makes it a model, so that no half of one is ever listed.
                (folder / "model.json").unlink(missing_ok=True)
                await in_thread(lambda: shutil.rmtree(folder, ignore_errors=True))
                return
            name = file_name(file)
            for path in (f"records/{name}.json", f"records/{name}.blocks", f"files/{name}"):
                (folder / path).unlink(missing_ok=True)

    async def room(self) -> Room:
        """See ``Backend``."""
        with named_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            used = sum(taken(path) for path in self.folder.glob("*/files/*"))
            return Room(used, shutil.disk_usage(self.folder).free)

    async def persist(self) -> bool:
        """See ``Backend``."""
        return True

    async def lock(self, name: str, *, shared: bool = False) -> HeldLock | None:
        """See ``Backend``."""
        path = self.folder / "locks" / file_name(name)
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            while True:
                file = path.open("a+b")
                if not lock_file(file, shared):
                    file.close()
                    return None
                if is_at(path, file):
                    return FileLock(file, None if shared else path)
                file.close()  # whoever had it before has removed the file meanwhile

    def _record(self, model: str, file: str) -> Path:
        folder = self.folder / model
        return folder / "records" / f"{file_name(file)}.json" if file else folder / "model.json"


class FolderFile:
    """A file of ``FolderBackend``, and the digests of its blocks beside it."""

    def __init__(self, data: Path, digests: Path, size: int, block_bytes: int):
        self._name = str(data)
        self._size, self._block_bytes = size, block_bytes
        self._data = open_for_update(data)
        self._digests = open_for_update(digests)
        self._lock = threading.Lock()  # seek and write belong together

    async def blocks(self) -> dict[int, bytes]:
        """See ``BackendFile``."""

        def look() -> dict[int, bytes]:
            self._digests.seek(0)
            text = self._digests.read()
            # A file that was cut behind our back lacks what its digests promise.
            end = os.fstat(self._data.fileno()).st_size
            found = {}
            for index in range(len(text) // DIGEST_BYTES):
                digest = text[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]
                start, length = block_range(index, self._size, self._block_bytes)
                if digest != NONE and length > 0 and start + length <= end:
                    found[index] = digest
            return found

        return self._locked(look)

    async def read(self, offset: int, length: int) -> Chunk:
        """See ``BackendFile``."""
        if length < THREAD_FROM:
            return self._locked(lambda: self._read(offset, length))
        return await in_thread(lambda: self._locked(lambda: self._read(offset, length)))

    async def write(self, index: int, chunk: Chunk) -> bytes:
        """See ``BackendFile``."""

        def put() -> bytes:
            digest = hashlib.sha256(chunk).digest()

            def write() -> None:
                self._data.seek(index * self._block_bytes)
                self._data.write(chunk)
                self._data.flush()
                self._note(index, digest)  # not before the bytes are there

            self._locked(write)
            return digest

        return await in_thread(put)

    async def sha256(self, index: int) -> bytes:
        """See ``BackendFile``."""
        start, length = block_range(index, self._size, self._block_bytes)

        def look() -> bytes:
            return hashlib.sha256(self._locked(lambda: self._read(start, length))).digest()

        return await in_thread(look)

    async def drop(self, index: int) -> None:
        """See ``BackendFile``."""
        self._locked(lambda: self._note(index, NONE))

    async def flush(self) -> None:
        """See ``BackendFile``."""

        def sync() -> None:
            for file in (self._data, self._digests):
                os.fsync(file.fileno())

        await in_thread(lambda: self._locked(sync))

    async def close(self) -> None:
        """See ``BackendFile``."""
        with self._lock:
            self._data.close()
            self._digests.close()

    def _read(self, offset: int, length: int) -> bytes:
        self._data.seek(offset)
        data = self._data.read(length)
        if len(data) < length:
            raise SourceError(f"{self._name} was cut behind the store's back: delete the model.")
        return data

    def _note(self, index: int, digest: bytes) -> None:
        self._digests.seek(index * DIGEST_BYTES)
        self._digests.write(digest)
        self._digests.flush()

    def _locked(self, work: Callable[[], Result]) -> Result:
        with self._lock:
            if self._data.closed:
                raise SourceError(f"{self._name} was closed")
            with named_errors(Path(self._name)):
                return work()


def file_name(file: str) -> str:
    """What a model's file, or a lock, is called on disk: no name leads out of its folder, and long
    ones that begin alike stay apart."""
    name = quote(file, safe=" ()[]+,=@!'")
    if name.strip(".") == "":
        name = name.replace(".", "%2E")
    if len(name) > 200:
        name = f"{name[:120]}-{hashlib.sha256(file.encode()).hexdigest()[:16]}"
    return name
