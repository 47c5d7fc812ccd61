"""Models out of the store and into it: as a folder, or as one file (a tar archive, POSIX.1-2001).

Both hold the model's files by their names, and ``webllm_py.json``, which says what they are.
"""

from __future__ import annotations

import builtins
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from webllm_py.errors import CorruptCheckpointError, SourceError
from webllm_py.fetch.backends.backend import Backend
from webllm_py.fetch.backends.records import BLOCK_BYTES, FileRecord, ModelRecord, model_id
from webllm_py.fetch.downloads.block_reader import BlockReader
from webllm_py.fetch.downloads.cached_file import CachedFile, open_cached
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.downloads.repair import digest_of
from webllm_py.fetch.files.targets import Target
from webllm_py.fetch.http.url import FileFacts
from webllm_py.fetch.resolver import address_of
from webllm_py.fetch.source import ByteSource, Folder
from webllm_py.fetch.store.manifest import MANIFEST, MAX_MANIFEST, Manifest
from webllm_py.fetch.store.stored_model import in_use

if TYPE_CHECKING:
    from webllm_py.fetch.store.models_store import ModelsStore

__all__ = ["export_model", "import_model"]


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
        async with open_cached(backend, model, file) as cached:
            reader = BlockReader(cached)
            size = file.size or 0
            sink = await target.create(file.name, size)
            for start in range(0, size, BLOCK_BYTES):
                await sink.write(await reader.read(start, min(BLOCK_BYTES, size - start)))
            await sink.close()
    await target.close()


async def _with_digests(
    backend: Backend, model: str, file: FileRecord
) -> tuple[FileRecord, builtins.list[bytes]]:
    """The record with the whole file's digest, and those of its blocks."""
    async with open_cached(backend, model, file) as cached:
        reader = BlockReader(cached)
        blocks = await cached.file.blocks()
        digest = StreamDigest("sha256")
        for index in range(cached.count if file.sha256 is None else 0):
            await digest.add(await reader.read(*cached.range(index)))
        whole = file if file.sha256 else replace(file, sha256=digest.hexdigest())
        return whole, [blocks[index] for index in sorted(blocks)]


async def import_model(store: ModelsStore, folder: Folder) -> ModelRecord:
    """Copy a model that was exported into the store; its record.

    The address that it is kept under is what the archive says. One from elsewhere may name any: so
    what is there whole stays, and what contradicts it is refused before anything is written.

    Raises:
        SourceError: the folder holds no exported model, or another one than is kept of its address.
        CorruptCheckpointError: a file is not what it was when it was exported.
    """
    manifest = await _manifest(folder)
    source, backend = manifest.model.source, store.backend
    if address_of(source) != source:
        raise SourceError(f"{folder.name} says that it is of {source!r}, which no store keeps.")
    model = model_id(source)
    held = await in_use(backend, model)
    there, whole = await backend.read_record(model) is not None, False
    try:
        kept = await _kept(backend, model, manifest)
        files = [file for file in manifest.files if file.name not in kept]
        record = await _merged(backend, model, manifest) if kept else manifest.model
        record = replace(record, used=time.time())  # it is new here, and not what was used long ago
        await store.make_room(sum(file.size or 0 for file in files))
        await backend.write_record(model, "", record.to_json())
        for file in files:
            await _import_file(backend, model, folder, replace(file, block_bytes=BLOCK_BYTES))
        whole = True
    finally:
        await held.release()
        if not (there or whole):
            await store.delete_unused(model)
    return record


async def _kept(backend: Backend, model: str, manifest: Manifest) -> set[str]:
    """The files of a manifest that are in the store already, whole.

    Raises:
        SourceError: there are others of these names.
    """
    kept = set()
    for file in manifest.files:
        record = FileRecord.from_json(await backend.read_record(model, file.name))
        if record is None or not record.complete:
            continue
        if record.size != file.size or record.sha256 not in (None, file.sha256):
            raise _other(manifest, file.name)
        async with open_cached(backend, model, record) as cached:
            if await cached.check_blocks():  # damaged since it came
                continue
            found = record.sha256 or await digest_of(cached, StreamDigest("sha256"))
        if found != file.sha256:
            raise _other(manifest, file.name)
        kept.add(file.name)
    return kept


async def _merged(backend: Backend, model: str, manifest: Manifest) -> ModelRecord:
    """What is written down of a model of which some files are in the store, and others come.

    Raises:
        SourceError: they are of another revision.
    """
    record = ModelRecord.from_json(await backend.read_record(model))
    if record is None:
        return manifest.model
    listing, other = record.listing, manifest.model.listing
    if listing and other and listing.get("sha") != other.get("sha"):
        raise _other(manifest, f"revision, {listing.get('sha')}")
    names = {file.name for file in manifest.files}
    return replace(record, absent=(record.absent | manifest.model.absent) - names)


def _other(manifest: Manifest, what: str) -> SourceError:
    source = manifest.model.source
    return SourceError(
        f"{source} is in the store already, with another {what}: if you trust this copy more, "
        f"delete that one first, with delete({source!r})."
    )


async def _import_file(backend: Backend, model: str, folder: Folder, file: FileRecord) -> None:
    source = await folder.open(file.name)
    cached = CachedFile(backend, model, file)
    try:
        await _copy(source, cached, file)
    finally:
        await cached.close_file()
        await source.close()


async def _manifest(folder: Folder) -> Manifest:
    source = await folder.open(MANIFEST)
    try:
        return Manifest.parse(folder.name, await source.read_all(MAX_MANIFEST))
    finally:
        await source.close()


async def _copy(source: ByteSource, cached: CachedFile, file: FileRecord) -> None:
    size = file.size or 0
    facts = FileFacts(size, file.etag, file.modified)
    await cached.begin(facts, ranges=file.ranges)
    digest = StreamDigest("sha256")
    for index in range(cached.count):
        chunk = await source.read_chunk(*cached.range(index))
        await cached.write(index, chunk)
        await digest.add(chunk)
    found = digest.hexdigest()
    if found != file.sha256:
        await cached.forget()
        raise CorruptCheckpointError(
            f"{source.name} is damaged: its SHA-256 is {found}, it was exported with {file.sha256}."
        )
    await cached.finish()
