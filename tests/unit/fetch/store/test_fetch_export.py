"""Models out of the store and into another: as a folder, and as one file."""

from __future__ import annotations

import hashlib
import tarfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hostile_server import HostileServer, hostile_server

from webllm_py.errors import CorruptCheckpointError, SourceError, StorageFullError
from webllm_py.fetch import Folder, resolve
from webllm_py.fetch.backends.backend import MemoryBackend
from webllm_py.fetch.backends.folder_backend import FolderBackend
from webllm_py.fetch.backends.records import ModelRecord, model_id
from webllm_py.fetch.files.local import LocalFile
from webllm_py.fetch.files.tar import TarFolder, open_tar
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.source import ByteSource
from webllm_py.fetch.store.export import import_model
from webllm_py.fetch.store.manifest import MANIFEST, Manifest
from webllm_py.fetch.store.models_store import ModelsStore

NAMES = ("config.json", "sub/m.bin", "a-very-long-name-" + 120 * "x" + "é.bin", "empty.txt")
FILES = {name: bytes([i]) * (700 * i**8) for i, name in enumerate(NAMES, 1)} | {"empty.txt": b""}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with hostile_server({}) as server:
        yield server


@pytest.fixture
async def store(server: HostileServer, tmp_path: Path) -> ModelsStore:
    """With a model in it whose server is gone."""
    from urllib.parse import quote

    server.files = {f"m/{quote(name)}": data for name, data in FILES.items()}
    store = ModelsStore(FolderBackend(tmp_path / "store"))
    folder = await resolve(server.url("m/"), FetchOptions(store=store))
    assert await contents(folder) == FILES
    server.files.clear()
    return store


async def contents(folder: object) -> dict[str, bytes]:
    assert isinstance(folder, Folder)
    found = {}
    for name in FILES:
        file = await folder.open(name)
        found[name] = await file.read_all(1 << 24)
        await file.close()
    return found


@pytest.mark.parametrize("target", ["folder", "model.tar"])
async def test_there_and_back(
    store: ModelsStore, server: HostileServer, tmp_path: Path, target: str
) -> None:
    url, exported = server.url("m/"), tmp_path / target
    await store.export_to(url, exported)
    other = ModelsStore(MemoryBackend())
    assert await other.import_from(exported) == url
    assert await other.has(url)
    folder = await resolve(url, FetchOptions(store=other))
    assert await contents(folder) == FILES


async def test_a_folder_holds_the_files_themselves_and_tar_reads_the_archive(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    await store.export_to(server.url("m/"), tmp_path / "out")
    found = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    await store.export_to(server.url("m/"), tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert set(archive.getnames()) == {*FILES, "webllm_py.json"}
        member = archive.extractfile("sub/m.bin")
        assert member is not None and member.read() == FILES["sub/m.bin"]
    assert found == FILES


async def test_damage_on_the_way_is_found(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    await store.export_to(server.url("m/"), tmp_path / "out")
    (tmp_path / "out" / "sub" / "m.bin").write_bytes(FILES["sub/m.bin"][:-1] + b"!")
    other = ModelsStore(MemoryBackend())
    with pytest.raises(CorruptCheckpointError, match=r"m\.bin is damaged"):
        await other.import_from(tmp_path / "out")
    assert not await other.has(server.url("m/"))


async def test_what_cannot_be_exported_or_imported(store: ModelsStore, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not in the store"):
        await store.export_to("hf:org/name", tmp_path / "out")
    (tmp_path / "kept.tar").write_bytes(b"another model")
    with pytest.raises(SourceError, match="not in the store"):
        await store.export_to("hf:org/name", tmp_path / "kept.tar")
    assert (tmp_path / "kept.tar").read_bytes() == b"another model"
    (tmp_path / "model.tar").write_bytes(b"no archive" * 200)
    with pytest.raises(SourceError, match="no tar archive"):
        await store.import_from(tmp_path / "model.tar")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "webllm_py.json").write_text("[]")
    with pytest.raises(SourceError, match=r"webllm_py\.json cannot be read"):
        await store.import_from(tmp_path / "other")


def forge(folder: Path, name: str, data: bytes, **record: Any) -> None:
    """Make an exported model another one: a file of it, and what is said of the model."""
    (folder / name).write_bytes(data)
    manifest = Manifest.parse("", (folder / MANIFEST).read_bytes())
    sha256 = hashlib.sha256(data).hexdigest()
    files = [
        replace(file, size=len(data), sha256=sha256) if file.name == name else file
        for file in manifest.files
    ]
    forged = replace(manifest, model=replace(manifest.model, **record), files=files, digests={})
    (folder / MANIFEST).write_bytes(forged.to_json())


@pytest.mark.parametrize("length", [0, -1])
async def test_an_archive_replaces_nothing_that_is_kept(
    store: ModelsStore, server: HostileServer, tmp_path: Path, length: int
) -> None:
    """Whoever makes one may name any address."""
    url, exported = server.url("m/"), tmp_path / "out"
    await store.export_to(url, exported)
    forge(exported, "sub/m.bin", FILES["sub/m.bin"][: length - 1] + b"!", absent={"config.json"})
    with pytest.raises(SourceError, match=r"already, with another sub/m\.bin.* delete\('http"):
        await store.import_from(exported)
    assert await store.has(url)
    assert await contents(await resolve(url, FetchOptions(store=store))) == FILES
    await store.delete(url)
    assert await store.import_from(exported) == url


async def test_an_archive_of_what_is_kept_brings_what_is_missing(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    """A damaged file among it, and one that the server did not have. Of what is right nothing is
    read, and so nothing is lost where the archive is damaged."""
    url, exported = server.url("m/"), tmp_path / "out"
    await store.export_to(url, exported)
    (exported / NAMES[2]).write_bytes(b"damaged")
    backend, id = store.backend, model_id(url)
    assert isinstance(backend, FolderBackend)
    kept = backend.folder / id / "files" / "sub%2Fm.bin"
    kept.write_bytes(b"!" + FILES["sub/m.bin"][1:])
    record = ModelRecord.from_json(await backend.read_record(id))
    assert record is not None
    record.absent.add("config.json")
    await backend.write_record(id, "", record.to_json())
    await backend.delete(id, "config.json")
    assert await store.import_from(exported) == url
    assert kept.read_bytes() == FILES["sub/m.bin"]
    assert await contents(await resolve(url, FetchOptions(store=store))) == FILES


async def test_an_archive_of_another_revision_than_is_kept(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    """Its files would lie beside those of the other one, and its listing say what is fetched."""
    url, exported, id = server.url("m/"), tmp_path / "out", model_id(server.url("m/"))
    await store.export_to(url, exported)
    forge(exported, "config.json", FILES["config.json"], listing={"sha": "a", "siblings": []})
    record = ModelRecord.from_json(await store.backend.read_record(id))
    assert record is not None
    record.listing = {"sha": "b", "siblings": []}
    await store.backend.write_record(id, "", record.to_json())
    with pytest.raises(SourceError, match="with another revision, b"):
        await store.import_from(exported)


@pytest.mark.parametrize("source", ["/etc/passwd", "hf:org/name@main:", "javascript:1", "m.gguf"])
async def test_an_archive_must_name_a_server_s_address(
    store: ModelsStore, server: HostileServer, tmp_path: Path, source: str
) -> None:
    """``load`` of what ``import_from`` returns would open something else."""
    await store.export_to(server.url("m/"), tmp_path / "out")
    forge(tmp_path / "out", "config.json", FILES["config.json"], source=source)
    with pytest.raises(SourceError):
        await store.import_from(tmp_path / "out")
    assert len(await store.list()) == 1


class Watched(TarFolder):
    """Does something before the last of the files is read."""

    def __init__(self, members: Any, act: Callable[[], Awaitable[object]]):
        super().__init__("watched", members)
        self._act = act

    async def open(self, filename: str) -> ByteSource:
        if filename == [*self._members][-1]:
            await self._act()
        return await super().open(filename)


async def test_what_is_imported_is_not_the_first_to_make_way(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    """Neither meanwhile nor afterwards, however long ago it was exported."""
    url, exported = server.url("m/"), tmp_path / "model.tar"
    backend = store.backend
    record = ModelRecord.from_json(await backend.read_record(model_id(url)))
    assert record is not None
    record.used = 1.0
    await backend.write_record(model_id(url), "", record.to_json())
    await store.export_to(url, exported)
    other = ModelsStore(MemoryBackend())

    async def delete() -> None:
        with pytest.raises(SourceError, match="is in use"):
            await other.delete(url)

    file = LocalFile(exported)
    archive = await open_tar(file)
    await import_model(other, Watched(archive._members, delete))
    await file.close()
    (model,) = await other.list()
    assert model.complete and model.used > time.time() - 60


def header(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Of a file of that length, which may be negative, as tar writes large numbers."""
    info = tarfile.TarInfo("a")
    info.type = kind
    data = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    data[124:136] = (b"\xff" if size < 0 else b"\x80") + size.to_bytes(11, "big", signed=True)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize("size", [-512, -1024, 1 << 40])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE])
async def test_an_archive_with_impossible_lengths(tmp_path: Path, size: int, kind: bytes) -> None:
    (tmp_path / "model.tar").write_bytes(header(0) + header(size, kind) + bytes(2048))

    class Counted(LocalFile):
        """Of which few reads are enough."""

        left = 10

        async def read(self, offset: int, length: int) -> bytes:
            self.left -= 1
            assert self.left, "it goes round in a circle"
            return await super().read(offset, length)

    file = Counted(tmp_path / "model.tar")
    with pytest.raises(SourceError, match=r"damaged|no tar archive"):
        await open_tar(file)
    await file.close()


async def test_there_must_be_room(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    await store.export_to(server.url("m/"), tmp_path / "out")
    with pytest.raises(StorageFullError):
        await ModelsStore(MemoryBackend(limit=1 << 20)).import_from(tmp_path / "out")
