"""Models that are kept in a browser. The work is in ``store.js``; bytes stay in JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Any

from webllm_py.errors import SourceError
from webllm_py.fetch.backends.backend import BackendFile, HeldLock, Room
from webllm_py.fetch.backends.disk_file import DiskFile
from webllm_py.fetch.browser import load_script, named_errors, to_array
from webllm_py.fetch.files.targets import Sink, Target
from webllm_py.fetch.http.browser import MAX_SAFE
from webllm_py.fetch.source import Chunk, bytes_of

__all__ = ["BrowserBackend", "handle_target", "open_backend", "read_state", "write_state"]


@cache
def script() -> Any:
    """What ``store.js`` gives of the scripts below it, loaded once."""
    here, http = "fetch/backends", "fetch/http"

    def load(folder: str, *names: str) -> list[Any]:
        return [load_script(f"{folder}/{name}.js") for name in names]

    store, places, file_system, retries = load(here, "store", "places", "file_system", "retries")
    disk, disk_worker, block_file = load(here, "disk", "disk_worker", "block_file")
    url_stream, connection = load(http, "url_stream", "connection")
    digest, sha256_script = load(here, "digest", "sha256")
    tries = retries()
    files = file_system(tries)
    kept = disk(disk_worker, block_file, retries, url_stream, connection, digest, sha256_script)
    return store(places(files), files, tries, kept)


@cache
def open_backend(kind: str | None) -> BrowserBackend:
    """The backend of a kind; of None the best that there is here.

    Raises:
        SourceError: this browser does not offer it here.
    """
    offered = list(script().offered())
    if kind is None:
        kind = offered[0]
    if kind not in offered:
        raise SourceError(
            f"models cannot be kept in {kind!r} here; this browser offers {', '.join(offered)}. "
            "Outside a secure context (https or localhost) some are missing."
        )
    return BrowserBackend(kind)


async def write_state(name: str, data: bytes) -> None:
    """Keep bytes in the origin-private file system, beside the models.

    Raises:
        SourceError: there is none here, or no room.
    """
    with named_errors(f"opfs:{name}"):
        await script().writeState(name, data)


async def read_state(name: str) -> bytes:
    """What ``write_state`` kept.

    Raises:
        SourceError: nothing has this name.
    """
    with named_errors(f"opfs:{name}"):
        return bytes_of(await script().readState(name))


class BrowserBackend:
    """A place in the browser, as a ``Backend`` that all tabs of the site share."""

    def __init__(self, kind: str):
        self.name = kind
        self._place = script().open(kind)

    async def models(self) -> list[str]:
        """See ``Backend``."""
        with self._errors():
            return sorted(await script().models(self._place))

    async def files(self, model: str) -> list[str]:
        """See ``Backend``."""
        with self._errors():
            return sorted(await script().files(self._place, model))

    async def read_record(self, model: str, file: str = "") -> str | None:
        """See ``Backend``."""
        with self._errors():
            text = await script().readRecord(self._place, model, file)
        return text if isinstance(text, str) else None

    async def write_record(self, model: str, file: str, text: str) -> None:
        """See ``Backend``."""
        with self._errors():
            await script().writeRecord(self._place, model, file, text)

    async def open(
        self, model: str, file: str, size: int, block_bytes: int, *, complete: bool = False
    ) -> BackendFile:
        """See ``Backend``."""
        place = (self._place, model, file, min(size, MAX_SAFE), block_bytes)
        if self.name == "opfs":
            return DiskFile(file, script().openFile(*place, complete))
        return BrowserFile(*place)

    async def delete(self, model: str, file: str | None = None) -> None:
        """See ``Backend``."""
        with self._errors():
            if file is None:
                await script().removeModel(self._place, model)
            else:
                await script().removeFile(self._place, model, file)

    async def room(self) -> Room:
        """See ``Backend``."""
        with self._errors():
            found = json.loads(await script().room())
        return Room(int(found["used"]), found["free"], bool(found["persistent"]))

    async def persist(self) -> bool:
        """See ``Backend``."""
        with self._errors():
            return bool(await script().persist())

    async def lock(self, name: str, *, shared: bool = False) -> HeldLock | None:
        """See ``Backend``."""
        with self._errors():
            held = await script().lock(f"{self.name} {name}", shared)
        return BrowserLock(held) if hasattr(held, "release") else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with named_errors(f"the models' store ({self.name})"):
            yield


class BrowserLock:
    """A Web Lock that is held; the browser lets go of it when the tab ends."""

    def __init__(self, held: Any):
        self._held = held

    async def release(self) -> None:
        """See ``HeldLock``."""
        await self._held.release()


class BrowserFile:
    """A file of ``BrowserBackend``, each of its blocks a value of a place."""

    def __init__(self, place: Any, model: str, file: str, size: int, block_bytes: int):
        self._at = (place, model, file)
        self._size, self._block_bytes = size, block_bytes

    async def blocks(self) -> dict[int, bytes]:
        """See ``BackendFile``."""
        with named_errors(self._name):
            found = await script().blocks(*self._at, self._size, self._block_bytes)
            return {int(index): bytes.fromhex(digest) for index, digest in found.to_py().items()}

    async def read(self, offset: int, length: int) -> Chunk:
        """See ``BackendFile``; a JavaScript ``Uint8Array``."""
        with named_errors(self._name):
            return await script().read(*self._at, offset, length, self._block_bytes)

    async def write(self, index: int, chunk: Chunk) -> bytes:
        """See ``BackendFile``."""
        with named_errors(self._name):
            known = None if script().hashes else to_array(sha256(bytes_of(chunk)).digest())
            return bytes.fromhex(await script().writeBlock(*self._at, index, chunk, known))

    async def sha256(self, index: int) -> bytes:
        """See ``BackendFile``."""
        with named_errors(self._name):
            found = await script().blockDigest(*self._at, index)
        return bytes.fromhex(found) if script().hashes else sha256(bytes_of(found)).digest()

    async def drop(self, index: int) -> None:
        """See ``BackendFile``."""
        with named_errors(self._name):
            await script().removeBlock(*self._at, index)

    async def flush(self) -> None:
        """See ``BackendFile``: the browser sees to it."""

    async def close(self) -> None:
        """See ``BackendFile``."""

    @property
    def _name(self) -> str:
        return f"{self._at[2]} in the models' store"


def handle_target(handle: Any) -> Target:
    """Where a model is exported to: a ``FileSystemDirectoryHandle``, or one of a file."""
    if str(getattr(handle, "kind", "")) == "file":
        from webllm_py.fetch.files.tar import TarTarget  # tarfile is large

        return TarTarget(HandleSink(handle))
    if hasattr(handle, "getDirectoryHandle"):
        return HandleTarget(handle)
    raise SourceError("a model is exported to a path, or to a handle of a directory or of a file.")


class HandleSink:
    """A file of the browser's file system, written in JavaScript."""

    def __init__(self, handle: Any):
        self._handle = handle
        self._stream: Any = None

    async def write(self, chunk: Chunk) -> None:
        """See ``Sink``."""
        with named_errors(str(self._handle.name)):
            if self._stream is None:
                self._stream = await self._handle.createWritable()
            await self._stream.write(to_array(chunk))

    async def close(self) -> None:
        """See ``Sink``."""
        with named_errors(str(self._handle.name)):
            if self._stream is None:  # an empty file
                self._stream = await self._handle.createWritable()
            await self._stream.close()


class HandleTarget:
    """A folder of the browser's file system."""

    def __init__(self, handle: Any):
        self._handle = handle

    async def create(self, filename: str, size: int) -> Sink:
        """See ``Target``."""
        with named_errors(filename):
            return HandleSink(await script().createFile(self._handle, filename))

    async def close(self) -> None:
        """See ``Target``."""
