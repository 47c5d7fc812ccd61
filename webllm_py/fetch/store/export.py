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
from webllm_py.fetch.files.targets import Target
from webllm_py.fetch.http.url import FileFacts
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

    Raises:
        SourceError: the folder holds no exported model.
        CorruptCheckpointError: a file is not what it was when it was exported.
    """
    manifest = await _manifest(folder)
    # It is new here, and not what was used longest ago.
    record, files = replace(manifest.model, used=time.time()), manifest.files
    backend = store.backend
    await store.make_room(sum(file.size or 0 for file in files))
    model = model_id(record.source)
    held = await in_use(backend, model)
    there, whole = await backend.read_record(model) is not None, False
    try:
        await backend.write_record(model, "", record.to_json())
        for file in files:
            await _import_file(backend, model, folder, file)
        whole = True
    finally:
        await held.release()
        if not (there or whole):
            await store.delete_unused(model)
    return record


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
