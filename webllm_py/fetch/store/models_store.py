"""The models that are kept on this machine, or in this browser for this site."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webllm_py.errors import SourceError, StorageFullError
from webllm_py.fetch.backends.backend import Backend, MemoryBackend, Room
from webllm_py.fetch.backends.folder_backend import FolderBackend
from webllm_py.fetch.backends.records import FileRecord, ModelRecord, model_id
from webllm_py.fetch.downloads.cached_file import open_cached
from webllm_py.fetch.source import Folder
from webllm_py.fetch.store.stored_model import use_lock
from webllm_py.fetch.store.texts import user_cache_folder
from webllm_py.units import size as shown

if TYPE_CHECKING:
    from webllm_py.fetch.files.targets import Target

__all__ = ["KeptModel", "ModelsStore", "models_store"]

# Left free on a disk or of a quota: who fills it up breaks what else writes there.
SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class KeptModel:
    """A model of the store.

    Attributes:
        source: its address, as ``load`` takes it.
        nbytes: of it that are kept.
        complete: whether all of the files that were opened are there.
        used: when it was last used, in seconds since 1970.
        files: bytes of each file, None where that is not known yet.
    """

    source: str
    nbytes: int
    complete: bool
    used: float
    files: dict[str, int | None]


class ModelsStore:
    """Models that were downloaded. Made by ``models_store``; everything may raise SourceError.

    A model is named by what ``load`` was given: an address, ``hf:org/name``, WebLLM's name.
    """

    def __init__(self, backend: Backend):
        self.backend = backend

    async def list(self) -> list[KeptModel]:
        """All models that something is there of, the last used first."""
        found = [await self._model(id) for id in await self.backend.models()]
        return sorted((model for model in found if model), key=lambda m: m.used, reverse=True)

    async def has(self, source: str) -> bool:
        """Whether a model is there, complete: it loads without a network."""
        model = await self._model(model_id(self._address(source)))
        return model is not None and model.complete

    async def size(self, source: str | None = None) -> int:
        """Bytes that a model takes; of None, all models."""
        models = await self.list()
        if source is not None:
            address = self._address(source)
            models = [model for model in models if model.source == address]
        return sum(model.nbytes for model in models)

    async def delete(self, source: str) -> None:
        """Delete a model; no error if it is not there.

        Raises:
            SourceError: it is in use.
        """
        id = model_id(self._address(source))
        if not await self.delete_unused(id):
            raise SourceError(f"{source} is in use: unload it first, also in other tabs.")

    async def room(self) -> Room:
        """How much is taken, and how much there is room for."""
        return await self.backend.room()

    async def persist(self) -> bool:
        """Ask the browser not to evict models by itself; whether it promised that."""
        return await self.backend.persist()

    async def verify(self, source: str) -> builtins.list[str]:
        """Compare a model's bytes with the digests of when they came.

        Returns:
            The files that were damaged; the next load downloads what is wrong of them.
        """
        id = model_id(self._address(source))
        damaged = []
        for name in await self.backend.files(id):
            record = FileRecord.from_json(await self.backend.read_record(id, name))
            if record is None or record.size is None:
                continue
            async with open_cached(self.backend, id, record) as cached:
                if await cached.check_blocks():
                    damaged.append(name)
        return damaged

    async def discard_unverified(self, source: str) -> None:
        """Delete those of a model's files that nobody gave a digest of, unless it is in use: it
        was found damaged, and they may be what is."""
        id = model_id(self._address(source))
        held = await self.backend.lock(use_lock(id))
        if held is None:
            return
        try:
            for name in await self.backend.files(id):
                record = FileRecord.from_json(await self.backend.read_record(id, name))
                if record is None or record.sha256 is None:
                    await self.backend.delete(id, name)
        finally:
            await held.release()

    async def export_to(self, source: str, target: Any) -> None:
        """Copy a model that is complete to a folder, or into one file (a tar archive).

        Args:
            target: a path, which ends in .tar for one file; in a browser a handle of a directory or
                of a file, as its pickers give them.

        Raises:
            SourceError: the model is not there whole, or the target cannot be written.
        """
        from webllm_py.fetch.store.export import export_model

        id = model_id(self._address(source))
        held = await self.backend.lock(use_lock(id), shared=True)
        if held is None:
            raise SourceError(f"{source} is just being deleted.")
        try:
            await export_model(self.backend, id, open_target(target))
        finally:
            await held.release()

    async def import_from(self, given: Any) -> str:
        """Take a model in that was exported; its address, as ``load`` takes it.

        The address is what the archive says: from who made it, ``load`` of that address gives
        what they put in. Files that are kept already, whole, stay as they are.

        Args:
            given: a folder or a .tar file, as ``load`` takes folders and files.

        Raises:
            SourceError: it is no exported model, or the store has another one of its address.
            CorruptCheckpointError: a file is not what it was when it was exported.
            StorageFullError: there is no room for it.
        """
        from webllm_py.fetch.files.tar import open_tar
        from webllm_py.fetch.resolver import resolve
        from webllm_py.fetch.store.export import import_model

        opened = await resolve(given)
        if isinstance(opened, Folder):
            return (await import_model(self, opened)).source
        try:
            return (await import_model(self, await open_tar(opened))).source
        finally:
            await opened.close()

    async def make_room(
        self, nbytes: int, keep: Collection[str] = (), *, delete: bool = True
    ) -> None:
        """See to it that ``nbytes`` can be written: delete the models that were used longest ago,
        but none that is in use.

        Args:
            keep: ids of models that are not deleted.
            delete: whether any is.

        Raises:
            StorageFullError: there is not enough room, whatever is deleted: then nothing is.
        """
        room = await self.backend.room()
        needed = nbytes + SPARE_BYTES
        if nbytes > 0 and not room.persistent:
            await self.backend.persist()
        free = room.free
        if nbytes <= 0 or free is None or needed <= free:
            return
        models = reversed(await self.list()) if delete else ()
        unused = [model for model in models if await self._may_go(model, keep)]
        most = free + sum(model.nbytes for model in unused)
        if needed > most:  # nothing is deleted in vain
            raise self._full(nbytes, most)
        for model in unused:
            await self.delete_unused(model_id(model.source))
            free = (await self.backend.room()).free
            if free is None or needed <= free:
                return
        raise self._full(nbytes, free)

    async def _may_go(self, model: KeptModel, keep: Collection[str]) -> bool:
        """Whether a model may be deleted: nobody uses it."""
        id = model_id(model.source)
        held = None if id in keep else await self.backend.lock(use_lock(id))
        if held is not None:
            await held.release()
        return held is not None

    def _full(self, nbytes: int, free: int) -> StorageFullError:
        """The error where there is no room for so many bytes, but for ``free`` at most."""
        return StorageFullError(
            f"keeping the model takes {shown(nbytes)}, and there is room for "
            f"{shown(max(0, free - SPARE_BYTES))} ({self.backend.name}): "
            f"{shown(nbytes + SPARE_BYTES - free)} are missing. Make room, or load with "
            "fetch=FetchOptions(keep=False), which keeps nothing.",
            needed=nbytes,
            free=free,
        )

    async def delete_unused(self, id: str) -> bool:
        """Delete the model of an id, unless it is in use; whether it was not."""
        held = await self.backend.lock(use_lock(id))
        if held is None:
            return False
        try:
            await self.backend.delete(id)
        finally:
            await held.release()
        return True

    async def _model(self, id: str) -> KeptModel | None:
        record = ModelRecord.from_json(await self.backend.read_record(id))
        if record is None:
            return None
        files: dict[str, int | None] = {}
        nbytes, complete = 0, True
        for name in await self.backend.files(id):
            file = FileRecord.from_json(await self.backend.read_record(id, name))
            if file is None:
                continue
            files[name] = file.size
            complete &= file.complete
            if file.complete:
                nbytes += file.size or 0
            elif file.size is not None:
                nbytes += await self._begun(id, file)
        return KeptModel(record.source, nbytes, complete, record.used, files) if files else None

    async def _begun(self, id: str, file: FileRecord) -> int:
        async with open_cached(self.backend, id, file) as cached:
            return (file.size or 0) - cached.missing_bytes()

    @staticmethod
    def _address(source: str) -> str:
        from webllm_py.fetch.resolver import address_of

        return address_of(source)


def open_target(target: Any) -> Target:
    """Where a model is exported to."""
    from webllm_py.fetch.files.tar import TarTarget
    from webllm_py.fetch.files.targets import FolderTarget, LocalSink

    if sys.platform == "emscripten" and not isinstance(target, (str, os.PathLike)):
        from webllm_py.fetch.backends.browser_backend import handle_target

        return handle_target(target)
    path = Path(target)
    return TarTarget(LocalSink(path)) if path.suffix == ".tar" else FolderTarget(path)


def models_store(place: Any = None) -> ModelsStore:
    """The store that ``load`` keeps models in.

    Args:
        place: None for the default: natively the environment's WEBLLM_PY_MODELS, or a folder below
            the user's cache; in a browser the first that it offers of "opfs" (the origin-private
            file system), "cache" (the Cache API), "indexeddb" and "memory", any of which may be
            given by name. Natively a folder's path, or "memory".

    Raises:
        SourceError: there is no such place here.
    """
    if isinstance(place, ModelsStore):
        return place
    if sys.platform == "emscripten":
        from webllm_py.fetch.backends.browser_backend import open_backend

        return ModelsStore(open_backend(place))
    if place == "memory":
        return ModelsStore(MemoryBackend())
    folder = place or os.environ.get("WEBLLM_PY_MODELS") or user_cache_folder() / "models"
    return ModelsStore(FolderBackend(Path(folder)))
