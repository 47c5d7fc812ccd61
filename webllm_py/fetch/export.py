"""Models out of the store and into it: as a folder, or as one file (a tar archive, POSIX.1-2001).

Both hold the model's files by their names, and ``webllm_py.json``, which says what they are.
"""

from __future__ import annotations

import builtins
import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from webllm_py.errors import CorruptCheckpointError, SourceError
from webllm_py.fetch.backend import Backend
from webllm_py.fetch.digest import StreamDigest
from webllm_py.fetch.folder_backend import in_thread, named_errors
from webllm_py.fetch.kept import Kept
from webllm_py.fetch.manifest import MANIFEST, MAX_MANIFEST, Manifest
from webllm_py.fetch.records import BLOCK_BYTES, FileRecord, ModelRecord, model_id
from webllm_py.fetch.source import ByteSource, Chunk, Folder
from webllm_py.fetch.url import FileFacts

if TYPE_CHECKING:
    from webllm_py.fetch.models_store import ModelsStore

__all__ = [
    "FolderTarget",
    "LocalSink",
    "Sink",
    "TarTarget",
    "Target",
    "export_model",
    "import_model",
    "open_tar",
]

TAR_BLOCK = 512


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


async def export_model(backend: Backend, model: str, target: Target) -> None:
    """Write a model's files, all of which are there.

    Raises:
        SourceError: the model is not in the store, or incomplete.
    """
    record = ModelRecord.from_json(await backend.read_record(model))
    files = [
        FileRecord.from_json(await backend.read_record(model, name))
        for name in await backend.files(model)
    ]
    if record is None or not files:
        raise SourceError("the model is not in the store: load it first.")
    whole = [file for file in files if file is not None and file.complete]
    if len(whole) < len(files):
        raise SourceError(f"{record.source} is incomplete: load it once, to its end.")
    described = [await _with_digests(backend, model, file) for file in whole]
    manifest = Manifest(
        record,
        [file for file, _ in described],
        {file.name: digests for file, digests in described},
    )
    text = manifest.to_json()
    sink = await target.create(MANIFEST, len(text))
    await sink.write(text)
    await sink.close()
    for file in whole:
        kept = Kept(backend, model, file)
        try:
            await kept.look()
            size = file.size or 0
            sink = await target.create(file.name, size)
            for start in range(0, size, BLOCK_BYTES):
                await sink.write(await kept.read(start, min(BLOCK_BYTES, size - start)))
            await sink.close()
        finally:
            await kept.close_file()
    await target.close()


async def _with_digests(
    backend: Backend, model: str, file: FileRecord
) -> tuple[FileRecord, builtins.list[bytes]]:
    """The record with the whole file's digest, and those of its blocks."""
    kept = Kept(backend, model, file)
    try:
        await kept.look()
        blocks = await kept.file.blocks()
        digest = StreamDigest("sha256")
        for index in range(kept.count if file.sha256 is None else 0):
            await digest.add(await kept.read(*kept.range(index)))
        whole = file if file.sha256 else replace(file, sha256=digest.hexdigest())
        return whole, [blocks[index] for index in sorted(blocks)]
    finally:
        await kept.close_file()


async def import_model(store: ModelsStore, folder: Folder) -> ModelRecord:
    """Copy a model that was exported into the store; its record.

    Raises:
        SourceError: the folder holds no exported model.
        CorruptCheckpointError: a file is not what it was when it was exported.
    """
    manifest = await _manifest(folder)
    record, files = manifest.model, manifest.files
    backend = store.backend
    await store.make_room(sum(file.size or 0 for file in files))
    model = model_id(record.source)
    there = await backend.read_record(model) is not None
    await backend.write_record(model, "", record.to_json())
    try:
        for file in files:
            await _import_file(backend, model, folder, file)
    except BaseException:
        if not there:
            await backend.delete(model)
        raise
    return record


async def _import_file(backend: Backend, model: str, folder: Folder, file: FileRecord) -> None:
    source = await folder.open(file.name)
    kept = Kept(backend, model, file)
    try:
        await _copy(source, kept, file)
    finally:
        await kept.close_file()
        await source.close()


async def _manifest(folder: Folder) -> Manifest:
    source = await folder.open(MANIFEST)
    try:
        return Manifest.parse(folder.name, await source.read_all(MAX_MANIFEST))
    finally:
        await source.close()


async def _copy(source: ByteSource, kept: Kept, file: FileRecord) -> None:
    size = file.size or 0
    facts = FileFacts(size, file.etag, file.modified)
    await kept.begin(facts, ranges=file.ranges)
    digest = StreamDigest("sha256")
    for index in range(kept.count):
        chunk = await source.read_chunk(*kept.range(index))
        await kept.write(index, chunk)
        await digest.add(chunk)
    found = digest.hexdigest()
    if found != file.sha256:
        await kept.forget()
        raise CorruptCheckpointError(
            f"{source.name} is damaged: its SHA-256 is {found}, it was exported with {file.sha256}."
        )
    await kept.finish()


class LocalSink:
    """A file on disk."""

    def __init__(self, path: Path):
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._path, self._file = path, path.open("wb")

    async def write(self, chunk: Chunk) -> None:
        """See ``Sink``."""
        with named_errors(self._path):
            await in_thread(lambda: self._file.write(chunk))

    async def close(self) -> None:
        """See ``Sink``."""
        self._file.close()


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


class TarTarget:
    """One file that holds all of them."""

    def __init__(self, sink: Sink):
        self._sink = sink

    async def create(self, filename: str, size: int) -> Sink:
        """See ``Target``."""
        info = tarfile.TarInfo(filename)
        info.size = size
        await self._sink.write(info.tobuf(tarfile.PAX_FORMAT))
        return TarMember(self._sink, size)

    async def close(self) -> None:
        """See ``Target``."""
        await self._sink.write(bytes(2 * TAR_BLOCK))
        await self._sink.close()


class TarMember:
    """A file inside of one."""

    def __init__(self, sink: Sink, size: int):
        self._sink, self._padding = sink, -size % TAR_BLOCK

    async def write(self, chunk: Chunk) -> None:
        """See ``Sink``."""
        await self._sink.write(chunk)

    async def close(self) -> None:
        """See ``Sink``."""
        if self._padding:
            await self._sink.write(bytes(self._padding))


@dataclass
class Within:
    """A part of a file, as a ``ByteSource``."""

    name: str
    outer: ByteSource
    offset: int
    nbytes: int

    async def size(self) -> int:
        """See ``ByteSource``."""
        return self.nbytes

    async def read(self, offset: int, length: int) -> bytes:
        """See ``ByteSource``."""
        return await self.outer.read(self.offset + offset, length)

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """See ``ByteSource``."""
        return await self.outer.read_chunk(self.offset + offset, length)

    async def read_all(self, limit: int) -> bytes:
        """See ``ByteSource``."""
        if self.nbytes > limit:
            raise SourceError(f"{self.name} has {self.nbytes} bytes; at most {limit} are expected")
        return await self.read(0, self.nbytes)

    async def pause(self) -> None:
        """See ``ByteSource``."""

    async def close(self) -> None:
        """See ``ByteSource``; the outer file stays open."""


class TarFolder:
    """A tar archive, as a ``Folder``."""

    def __init__(self, name: str, members: dict[str, Within]):
        self.name = name
        self._members = members

    async def open(self, filename: str) -> ByteSource:
        """See ``Folder``."""
        if filename not in self._members:
            raise SourceError(f"{self.name} holds no {filename}: it is no exported model.")
        return self._members[filename]

    async def exists(self, filename: str) -> bool:
        """See ``Folder``."""
        return filename in self._members

    async def list(self) -> builtins.list[str]:
        """See ``Folder``."""
        return sorted(self._members)


async def open_tar(source: ByteSource) -> TarFolder:
    """The files of a tar archive, of which only the headers are read.

    Raises:
        SourceError: it is none.
    """
    return TarFolder(source.name, {m.name: m async for m in tar_members(source)})


async def tar_members(source: ByteSource) -> AsyncIterator[Within]:
    """Each file of a tar archive."""
    total = await source.size() or 0
    at = 0
    while at + TAR_BLOCK <= total:
        head = await source.read(at, min(3 * TAR_BLOCK, total - at))
        if not any(head[:TAR_BLOCK]):
            return
        try:
            # A long name or length has a header of its own (PAX) before the usual one.
            count = 1
            if head[156:157] == b"x":
                extra = tarfile.TarInfo.frombuf(head[:TAR_BLOCK], "utf-8", "strict").size
                count = 2 + -(-extra // TAR_BLOCK)
                head = await source.read(at, count * TAR_BLOCK)
            with tarfile.open(fileobj=io.BytesIO(head), mode="r:") as archive:
                info = archive.next()
        except (tarfile.TarError, ValueError, UnicodeError) as error:
            raise SourceError(f"{source.name} is no tar archive: {error}") from error
        if info is None:
            raise SourceError(f"{source.name} is no tar archive.")
        start = at + count * TAR_BLOCK
        yield Within(info.name, source, start, info.size)
        at = start + info.size + -info.size % TAR_BLOCK
