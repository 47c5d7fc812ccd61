"""Files and folders that the user of a page picked; bytes of ``read_chunk`` stay in JavaScript."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.browser import bridge, is_javascript, named_errors
from webllm_py.fetch.source import ByteSource, Folder, check_range

__all__ = ["BlobFile", "DirectoryFolder", "FileListFolder", "from_js"]


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


async def from_js(source: Any) -> ByteSource | Folder | str | None:
    """The source that a JavaScript object stands for; a URL object becomes its text.

    None: it is nothing that can be read, or no JavaScript object.
    """
    if isinstance(source, list | tuple):
        blobs = [item for item in source if is_javascript(item)]
        return _from_files(blobs) if len(blobs) == len(source) else None
    if not is_javascript(source):
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
