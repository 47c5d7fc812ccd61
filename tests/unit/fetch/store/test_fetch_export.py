"""Models out of the store and into another: as a folder, and as one file."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_server import HostileServer, hostile_server

from webllm_py.errors import CorruptCheckpointError, SourceError, StorageFullError
from webllm_py.fetch import Folder, resolve
from webllm_py.fetch.backends.backend import MemoryBackend
from webllm_py.fetch.backends.folder_backend import FolderBackend
from webllm_py.fetch.options import FetchOptions
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


async def test_there_must_be_room(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    await store.export_to(server.url("m/"), tmp_path / "out")
    with pytest.raises(StorageFullError):
        await ModelsStore(MemoryBackend(limit=1 << 20)).import_from(tmp_path / "out")
