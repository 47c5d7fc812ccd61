"""A model of a store while it is loaded: its record, its files, the lock of those who use it."""

from __future__ import annotations

import asyncio
import builtins
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.backends.backend import Backend, HeldLock
from webllm_py.fetch.backends.records import BLOCK_BYTES, FileRecord, ModelRecord, model_id
from webllm_py.fetch.downloads.range_source import RangeSource
from webllm_py.fetch.downloads.stored_file import Digests, StoredFile
from webllm_py.fetch.downloads.write_behind import HeldBytes
from webllm_py.fetch.http.url import LISTING_LIMIT, HttpFolder, ask_for, join_url
from webllm_py.fetch.hub import Listing, hub_folder, listing_url
from webllm_py.fetch.options import HUB, FetchOptions
from webllm_py.fetch.source import ByteSource, Folder
from webllm_py.fetch.store.manifest import MANIFEST, MAX_MANIFEST, Manifest

if TYPE_CHECKING:
    from webllm_py.fetch.store.models_store import ModelsStore

__all__ = ["HubModel", "StoredFolder", "StoredModel", "in_use", "use_lock"]

DELETING_SECONDS = 0.05  # between looks whether somebody has deleted the model

OpenRanges: TypeAlias = Callable[[str, FetchOptions], RangeSource]


def use_lock(model: str) -> str:
    """The name of the lock that those share who use a model."""
    return f"use {model}"


async def in_use(backend: Backend, model: str) -> HeldLock:
    """Use a model: nobody deletes it until the lock is released."""
    while True:
        held = await backend.lock(use_lock(model), shared=True)
        if held is not None:
            return held
        await asyncio.sleep(DELETING_SECONDS)


class StoredModel:
    """A model that is being loaded or was loaded; used from its first file's opening to the closing
    of the last one."""

    def __init__(
        self, store: ModelsStore, source: str, options: FetchOptions, open_ranges: OpenRanges
    ):
        self.store = store
        self.backend = store.backend
        self.id = model_id(source)
        self.options = options
        self.block_bytes = BLOCK_BYTES
        self.record = ModelRecord(source)
        self.held_bytes = HeldBytes()
        self._open_ranges = open_ranges
        self._open_files = 0
        self._held: HeldLock | None = None
        self._recalled = False
        self._entering = asyncio.Lock()

    async def enter(self) -> None:
        """Use the model from now on: nobody deletes it."""
        async with self._entering:
            if self._held is None:
                self._held = await in_use(self.backend, self.id)
        await self.recall()

    async def recall(self) -> None:
        """Read the record, and write down that the model is used now."""
        async with self._entering:
            if self._recalled:
                return
            found = ModelRecord.from_json(await self.backend.read_record(self.id))
            if found is not None and found.source == self.record.source:
                self.record = found
                if self.options.refresh:
                    self.record.absent, self.record.listing = set(), None
            await self.save()
            self._recalled = True

    async def save(self) -> None:
        """Write the record."""
        self.record.used = time.time()
        await self.backend.write_record(self.id, "", self.record.to_json())

    async def stored_bytes(self, filename: str) -> int:
        """Bytes of a file that are there; of one that is begun, none are counted."""
        text = await self.backend.read_record(self.id, filename)
        record = FileRecord.from_json(text)
        return record.size or 0 if record is not None and record.complete else 0

    def file(
        self,
        filename: str,
        url: str,
        folder: Folder | None = None,
        sha256: str | None = None,
        digests: Digests | None = None,
    ) -> StoredFile:
        """One of its files."""
        self._open_files += 1
        return StoredFile(self, filename, url, sha256=sha256, folder=folder, digests=digests)

    def open_ranges(self, url: str) -> RangeSource:
        """What a file is downloaded with."""
        return self._open_ranges(url, self.options)

    async def make_room(self, nbytes: int, *, delete: bool = True) -> None:
        """See to it that ``nbytes`` more bytes can be kept; see ``ModelsStore``.

        Raises:
            StorageFullError: they cannot; says how many are missing.
        """
        await self.store.make_room(nbytes, keep=(self.id,), delete=delete)

    async def leave(self) -> None:
        """One of its files was closed."""
        self._open_files -= 1
        if self._open_files == 0 and self._held is not None:
            held, self._held = self._held, None
            await held.release()


class StoredFolder(HttpFolder):
    """All files below an address that are kept, as a ``Folder``. What a server does not have is
    remembered, so that it need not be asked again."""

    def __init__(self, model: StoredModel, url: str):
        super().__init__(url, lambda address: model.file(address, address))
        self.model = model
        self._manifest: asyncio.Future[Manifest | None] | None = None

    async def open(self, filename: str) -> ByteSource:
        """See ``HttpFolder``."""
        await self.model.recall()
        absent = self.model.record.absent
        if filename in absent:
            raise MissingFileError(f"{self.name} holds no {filename}")
        try:
            return await super().open(filename)
        except MissingFileError:
            absent.add(filename)
            await self.model.save()
            raise

    def source_of(self, filename: str) -> ByteSource:
        """See ``HttpFolder``."""
        url = join_url(self.name, filename)
        return self.model.file(filename, url, self, digests=partial(self._digests, filename))

    async def _digests(self, filename: str) -> Sequence[bytes]:
        """The SHA-256 of each of a file's blocks, where the folder is an exported model's."""
        if self._manifest is None:
            self._manifest = asyncio.ensure_future(self._ask())
        manifest = await asyncio.shield(self._manifest)
        return manifest.digests.get(filename, ()) if manifest else ()

    async def _ask(self) -> Manifest | None:
        """The manifest, if there is one. Again, if it cannot be read: it may have come damaged."""
        for _ in range(self.model.options.tries):
            text = await self._manifest_text()
            with suppress(SourceError):
                return Manifest.parse(self.name, text) if text is not None else None
        return None

    async def _manifest_text(self) -> bytes | None:
        absent = self.model.record.absent
        if MANIFEST in absent:
            return None
        source = self.model.open_ranges(join_url(self.name, MANIFEST))
        try:
            return await source.read_all(MAX_MANIFEST)
        except SourceError as error:
            if self._is_missing(error.status):
                absent.add(MANIFEST)
                await self.model.save()
            return None
        finally:
            await source.close()


class HubModel:
    """A repository's revision, as a ``Folder`` of files that are kept, pinned to a commit."""

    def __init__(
        self,
        model: StoredModel,
        repository: str,
        revision: str,
        folder: str,
        open_listing: Callable[[str], ByteSource],
    ):
        self.name = hub_folder(HUB, repository, revision, folder)
        self.model = model
        self._open_listing = open_listing
        self._repository, self._revision = repository, revision
        self._folder = folder
        self._listing: Listing | None = None
        self._asked = False

    async def open(self, filename: str) -> ByteSource:
        """The file of that name; MissingFileError if there is none."""
        listing = await self.listing()
        path = self._folder + filename
        if listing is not None and path not in listing.files:
            raise MissingFileError(f"{self.name} holds no {filename}")
        file = self.source_of(filename, listing)
        await ask_for(file, self.name, filename, lambda status: status in (404, 410))
        return file

    async def exists(self, filename: str) -> bool:
        """Whether the repository has the file."""
        listing = await self.listing()
        if listing is not None:
            return self._folder + filename in listing.files
        try:
            await (await self.open(filename)).close()
        except MissingFileError:
            return False
        return True

    async def list(self) -> builtins.list[str] | None:
        """Names of all files below the folder; None where a mirror does not tell."""
        listing = await self.listing()
        if listing is None:
            return None
        at = len(self._folder)
        return sorted(name[at:] for name in listing.files if name.startswith(self._folder))

    def source_of(self, filename: str, listing: Listing | None) -> StoredFile:
        """The file of that name in the listed revision."""
        revision = (listing and listing.commit) or self._revision
        path = self._folder + filename
        url = join_url(hub_folder(self.model.options.hub, self._repository, revision), path)
        files: Mapping[str, str | None] = listing.files if listing else {}
        return self.model.file(path, url, self, files.get(path))

    async def _ask(self) -> Listing | None:
        """The hub's listing. A mirror without one still serves the files."""
        address = listing_url(self.model.options.hub, self._repository, self._revision)
        source = self._open_listing(address)
        try:
            return Listing.parse(await source.read_all(LISTING_LIMIT))
        except SourceError:
            return None
        finally:
            await source.close()

    async def listing(self) -> Listing | None:
        """What the revision holds: as it was when it was first asked for."""
        if self._asked:
            return self._listing
        await self.model.recall()
        record = self.model.record
        if record.listing is not None:
            self._listing = Listing.parse(json.dumps(record.listing))
        else:
            self._listing = await self._ask()
            if self._listing is not None:
                record.listing = self._listing.to_json()
                await self.model.save()
        self._asked = True
        return self._listing
