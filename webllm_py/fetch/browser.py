"""Files in Pyodide: ``fetch`` replies, and files and folders that the user picked.

The work is in ``stream.js``; bytes of ``read_chunk`` stay in JavaScript.
"""

from __future__ import annotations

import asyncio
import builtins
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import js
from pyodide.code import run_js
from pyodide.ffi import JsException, JsProxy, to_js

from webllm_py.errors import (
    ChangedFileError,
    MissingFileError,
    SourceError,
    StorageFullError,
)
from webllm_py.fetch.source import ByteSource, Folder, check_range
from webllm_py.fetch.url import FileFacts, status_error, web_page_error

__all__ = [
    "BlobFile",
    "CacheStore",
    "DirectoryFolder",
    "FetchFile",
    "FileListFolder",
    "absolute_url",
    "from_js",
    "load_package",
    "load_script",
    "named_errors",
    "to_array",
]

AHEAD_BYTES = 1 << 20  # most that a header's small reads take of what has come already
MAX_SAFE = 2**53 - 1  # the largest int that becomes a JavaScript number, and no BigInt


@cache
def bridge() -> Any:
    """stream.js, loaded once."""
    return load_script("fetch/stream.js")


def load_script(name: str) -> Any:
    """The value of a file in JavaScript, one expression, by its path in this package.

    Where a policy forbids the browser to evaluate texts, as in extensions, the worker brings the
    files as functions (web/js/worker.js).
    """
    scripts = getattr(js, "webllm_py_scripts", None)
    if scripts is not None:
        return getattr(scripts, name)()
    return run_js((Path(__file__).parents[1] / name).read_text("utf-8"))


async def load_package(name: str) -> None:
    """Fetch a package, if Pyodide's lock file lists one of that name."""
    from pyodide_js import loadPackage, lockfile

    if hasattr(lockfile.packages, name):
        with named_errors(f"the package {name}"):
            await loadPackage(name)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turn errors that JavaScript threw while reading ``name`` into SourceError."""
    try:
        yield
    except JsException as error:
        raise translated(name, error) from error


def translated(name: str, error: Any) -> SourceError:
    """This package's error for one of stream.js or of the browser."""
    match error.name:
        case "HttpStatus":
            wait = error.wait if isinstance(error.wait, str) else None
            return status_error(name, int(error.status), str(error.message), wait)
        case "Changed":
            return ChangedFileError(f"{name}: {error.message}")
        case "Cut":
            return SourceError(f"{name}: {error.message}", transient=True)
        case "QuotaExceededError":
            return StorageFullError(
                f"{name}: the browser grants no more room to keep models. Make room, delete a "
                "model (webllm_py.models_store()), or load with fetch=FetchOptions(keep=False).",
                needed=0,
                free=0,
            )
        case "WebPage":
            return web_page_error(name)
        case "NotReadableError" | "NotFoundError" if " store" in name:
            return SourceError(f"{name} was deleted meanwhile: load the model again.")
        case "NotReadableError" | "NotFoundError":
            return SourceError(f"{name} changed or went away since it was picked: pick it again.")
        case "NotAllowedError":
            return SourceError(f"the browser does not allow to read {name}: pick it again.")
        case _:
            return SourceError(f"{name}: {error.message}")


def absolute_url(url: str) -> str:
    """The URL, taken relative to the page or worker, or to what a worker's page says (web/js).

    Raises:
        SourceError: it is no URL, or is relative where the page has no address.
    """
    try:
        return str(bridge().absoluteUrl(url))
    except JsException as error:
        raise SourceError(
            f"{url!r} is not an address here: give the full one, https://..."
        ) from error


def to_array(chunk: Any) -> Any:
    """A chunk as a ``Uint8Array``, whichever side it is of."""
    return chunk if isinstance(chunk, JsProxy) else to_js(bytes(chunk))


class FetchFile:
    """One URL, as a ``ByteSource``.

    Reads that follow one another share one reply; a jump asks for a new range.

    Args:
        url: an absolute address.
        timeout: seconds without a byte after which a read fails.
        headers: sent with each request.

    Attributes:
        until: where requests of ``read_some`` end; None: at the file's end.
    """

    def __init__(
        self, url: str, *, timeout: float = 60.0, headers: Mapping[str, str] | None = None
    ):
        self.name = url
        self.until: int | None = None
        self._timeout = timeout
        self._headers = json.dumps(dict(headers or {}))
        self._facts = bridge().newFacts()
        self._lock = asyncio.Lock()
        self._stream: Any = None
        self._closed = False
        self._ahead, self._ahead_at = b"", 0

    @property
    def facts(self) -> FileFacts:
        """What is known of the file."""
        facts = self._facts

        def text(value: Any) -> str | None:
            return value if isinstance(value, str) else None

        return FileFacts(
            self._size(),
            text(facts.etag),
            text(facts.modified),
            bool(facts.ranges),
            bool(facts.answered),
            int(facts.received),
        )

    def assume(self, facts: FileFacts) -> None:
        """Refuse replies that say otherwise than these."""
        self._facts = bridge().newFacts(facts.size, facts.etag, facts.modified)

    async def read_some(self, offset: int, length: int) -> Any:
        """At most ``length`` bytes from ``offset``: what came before a failure, if anything did; a
        JavaScript ``Uint8Array``."""
        return await self._call("readSome", offset, length, self.until)

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""
        if not self._facts.answered:
            await self._call("seek", 0)
        return self._size()

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; what came with them is kept for later."""
        check_range(self.name, self._size(), offset, length)
        start = offset - self._ahead_at
        if start < 0 or start + length > len(self._ahead):
            chunk = await self._read("readAhead", offset, length, AHEAD_BYTES)
            self._ahead, self._ahead_at, start = bytes(chunk.to_bytes()), offset, 0
        return self._ahead[start : start + length]

    async def read_chunk(self, offset: int, length: int) -> Any:
        """As ``read``, but a JavaScript ``Uint8Array``."""
        self._ahead = b""
        return await self._read("read", offset, length)

    async def _read(self, method: str, offset: int, length: int, *most: int) -> Any:
        check_range(self.name, self._size(), offset, length)
        chunk = await self._call(method, min(offset, MAX_SAFE), min(length, MAX_SAFE), *most)
        if chunk.length < length:
            check_range(self.name, self._size(), offset, length)
        return chunk

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes."""
        data = await self._call("readAll", limit)
        if data is None:
            raise SourceError(f"{self.name} has more than the {limit} bytes that are expected")
        return bytes(data.to_bytes())

    async def pause(self) -> None:
        """Let go of the open reply; the next read asks for a new one."""
        async with self._lock:
            if self._stream is not None:
                self._stream.pause()

    async def close(self) -> None:
        """Abort the request, and a read in progress with it."""
        self._closed = True
        self._ahead = b""
        if self._stream is not None:
            self._stream.abort()

    def _size(self) -> int | None:
        size = self._facts.size
        return size if isinstance(size, int) else None

    async def _call(self, method: str, *args: int | None) -> Any:
        async with self._lock:
            if self._closed:
                raise SourceError(f"{self.name} was closed")
            if self._stream is None:
                self._stream = bridge().openUrl(
                    self.name, self._facts, self._timeout, self._headers
                )
            stream = self._stream
            try:
                with named_errors(self.name):
                    return await getattr(stream, method)(*args)
            except asyncio.CancelledError:
                # The promise goes on without us: abort its request, and leave it its dead stream.
                self._stream = None
                stream.abort()
                raise


class BlobFile:
    """A ``File`` or ``Blob`` of the browser, as a ``ByteSource``."""

    def __init__(self, blob: Any):
        self.name = str(getattr(blob, "name", "the given Blob"))
        self._blob = blob

    async def size(self) -> int:
        """Length in bytes."""
        return int(self._open().size)

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        return bytes((await self.read_chunk(offset, length)).to_bytes())

    async def read_chunk(self, offset: int, length: int) -> Any:
        """As ``read``, but a JavaScript ``Uint8Array``."""
        check_range(self.name, await self.size(), offset, length)
        with named_errors(self.name):
            return await bridge().readBlob(self._open(), offset, length)

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes."""
        size = await self.size()
        if size > limit:
            raise SourceError(f"{self.name} has {size} bytes; at most {limit} are expected")
        return await self.read(0, size)

    async def pause(self) -> None:
        """Nothing to let go of."""

    async def close(self) -> None:
        """Forget the file."""
        self._blob = None

    def _open(self) -> Any:
        if self._blob is None:
            raise SourceError(f"{self.name} was closed")
        return self._blob


class FileListFolder:
    """Files that the user picked, as a ``Folder``; a picked folder's own name is left out."""

    def __init__(self, files: Sequence[Any]):
        paths = [str(getattr(file, "webkitRelativePath", "") or file.name) for file in files]
        picked = {path.partition("/")[0] for path in paths}
        self.name = picked.pop() if len(picked) == 1 else "the picked files"
        self._files: Mapping[str, Any] = {
            path.partition("/")[2] or path: file for path, file in zip(paths, files, strict=True)
        }

    async def open(self, filename: str) -> BlobFile:
        """The file of that name; MissingFileError if it was not picked."""
        if filename not in self._files:
            raise MissingFileError(f"{self.name} holds no {filename}")
        return BlobFile(self._files[filename])

    async def exists(self, filename: str) -> bool:
        """Whether the file was picked."""
        return filename in self._files

    async def list(self) -> builtins.list[str]:
        """Names of all files."""
        return sorted(self._files)


class DirectoryFolder:
    """A ``FileSystemDirectoryHandle``, as a ``Folder``."""

    def __init__(self, handle: Any):
        self.name = str(handle.name) or "the picked folder"
        self._handle = handle

    async def open(self, filename: str) -> BlobFile:
        """The file of that name; MissingFileError if there is none."""
        file = await self._find(filename)
        if file is None:
            raise MissingFileError(f"{self.name} holds no {filename}")
        return BlobFile(file)

    async def exists(self, filename: str) -> bool:
        """Whether the file is there."""
        return await self._find(filename) is not None

    async def list(self) -> builtins.list[str]:
        """Names of the files directly in the folder."""
        with named_errors(self.name):
            return list((await bridge().listDirectory(self._handle)).to_py())

    async def _find(self, filename: str) -> Any:
        with named_errors(self.name):
            return await bridge().openInDirectory(self._handle, filename)


class CacheStore:
    """Entries of the browser's Cache API, as a ``TextStore``: for pages and workers, unasked."""

    def __init__(self, kind: str):
        self.kind = kind

    async def read(self, name: str) -> str | None:
        """See ``TextStore``."""
        with named_errors(f"the browser's cache of {self.kind}"):
            text = await bridge().cachedText(self.kind, name)
        return text if isinstance(text, str) else None

    async def write(self, name: str, text: str) -> None:
        """See ``TextStore``."""
        with named_errors(f"the browser's cache of {self.kind}"):
            await bridge().cacheText(self.kind, name, text)


async def from_js(source: Any) -> ByteSource | Folder | str | None:
    """The source that a JavaScript object stands for; a URL object becomes its text.

    None: it is nothing that can be read, or no JavaScript object.
    """
    if isinstance(source, list | tuple):
        blobs = [item for item in source if isinstance(item, JsProxy)]
        return _from_files(blobs) if len(blobs) == len(source) else None
    if not isinstance(source, JsProxy):
        return None
    match bridge().kindOf(source):
        case "blob":
            return BlobFile(source)
        case "handle":
            with named_errors(str(source.name)):
                return BlobFile(await source.getFile())
        case "directory":
            return DirectoryFolder(source)
        case "url":
            return str(source.href)
    with named_errors("the given object"):
        return _from_files(list(bridge().toArray(source)))


def _from_files(files: Sequence[Any]) -> FileListFolder | None:
    if not files or any(bridge().kindOf(file) != "blob" for file in files):
        return None
    return FileListFolder(files)
