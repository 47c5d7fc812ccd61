"""Downloads into the store from a server that fails by chance: seeded runs."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_server import FAULTS, HostileServer, hostile_server

from webllm_py.errors import (
    ChangedFileError,
    CorruptCheckpointError,
    SourceError,
    StorageFullError,
)
from webllm_py.fetch.backends.backend import MemoryBackend
from webllm_py.fetch.backends.folder_backend import FolderBackend
from webllm_py.fetch.downloads.stored_file import StoredFile
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.resolver import open_url
from webllm_py.fetch.store.models_store import SPARE_BYTES, ModelsStore
from webllm_py.fetch.store.stored_model import StoredModel

FILE = random.Random(3).randbytes(1_500_000)
SHA256 = hashlib.sha256(FILE).hexdigest()
BLOCK = 1 << 13
QUICK = FetchOptions(timeout=0.3, backoff=0.002, tries=12)

Open = Callable[..., StoredFile]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileServer]:
    """A test's own: what another gave up, a busy machine's server hears of only later."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with hostile_server({"f": FILE}) as server:
        server.etags = {"f": '"1"'}
        yield server


@pytest.fixture
def store(tmp_path: Path) -> ModelsStore:
    return ModelsStore(FolderBackend(tmp_path))


def stored(
    store: ModelsStore, server: HostileServer, sha256: str | None = None, **options: object
) -> StoredFile:
    patient = {} if server.rate else {"timeout": 30}  # a pause of the machine is no fault of theirs
    chosen = FetchOptions(**{**QUICK.__dict__, **patient, **options})  # type: ignore[arg-type]
    model = StoredModel(store, server.url("f"), chosen, open_url)
    model.block_bytes = BLOCK
    return model.file("f", server.url("f"), sha256=sha256)


async def whole(file: StoredFile) -> bytes:
    """Read as the loader does, and close."""
    try:
        size = await file.size()
        assert size is not None
        parts = [
            bytes(await file.read_chunk(at, min(70_000, size - at)))
            for at in range(0, size, 70_000)
        ]
        assert not await file.verify()
        return b"".join(parts)
    finally:
        await file.close()


def damage(folder: Path, at: int) -> None:
    """Overwrite some bytes of the stored file."""
    (data,) = folder.glob("*/files/f")
    with data.open("r+b") as raw:
        raw.seek(at)
        raw.write(b"!!!!")


@pytest.mark.parametrize("seed", range(12))
async def test_the_file_ends_up_whole_whatever_fails(
    store: ModelsStore, server: HostileServer, seed: int
) -> None:
    server.random, server.rate = random.Random(seed), 0.3
    file = stored(store, server)
    assert await whole(file) == FILE
    assert file.download.received < 1.02 * len(FILE)
    server.rate = 0
    asked = len(server.requests)
    assert await whole(stored(store, server)) == FILE
    assert len(server.requests) == asked


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_always_fails_is_named(
    store: ModelsStore, server: HostileServer, fault: str
) -> None:
    server.faults, server.rate = (fault,), 1.0
    file = stored(store, server, tries=3, timeout=0.1)
    if fault in ("cut", "stall", "none", "ignore"):  # each try brings a little, or all of it
        file = stored(store, server, tries=3, timeout=0.05)
        server.random = random.Random(1)
    try:
        data = await whole(file)
    except SourceError as error:
        assert server.url("f") in str(error)
    else:
        assert data == FILE


async def test_ranges_in_parallel_and_none_twice(store: ModelsStore, server: HostileServer) -> None:
    file = stored(store, server)
    assert await whole(file) == FILE
    assert file.download.received == len(FILE)
    ranges = [asked for _, asked in server.requests]
    assert len(set(ranges)) == len(ranges) and ranges[0] == f"bytes=0-{BLOCK - 1}"
    assert len(ranges) < 25


async def test_a_server_without_ranges_takes_one_request(
    store: ModelsStore, server: HostileServer
) -> None:
    server.ranges = False
    file = stored(store, server)
    assert await whole(file) == FILE
    assert len(server.requests) == 1
    assert file.download.received == len(FILE)


async def test_closing_keeps_what_came(store: ModelsStore, server: HostileServer) -> None:
    first = stored(store, server)
    await first.read(0, 400_000)
    await first.close()
    second = stored(store, server)
    assert await whole(second) == FILE
    total = first.download.received + second.download.received
    assert total < len(FILE) + 5 * 16 * BLOCK
    assert second.download.received <= len(FILE) - 400_000


async def test_a_killed_process_loses_no_more_than_its_open_blocks(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    code = f"""
        import asyncio, os, sys
        sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
        import test_fetch_hostile as t
        class Server:
            rate, url = 0, staticmethod(lambda path: {server.url()!r} + path)
        async def main():
            store = t.ModelsStore(t.FolderBackend({str(tmp_path)!r}))
            file = t.stored(store, Server)
            await file.read(700_000, 10)
            os.kill(os.getpid(), 9)
        asyncio.run(main())
    """
    environment = {**os.environ, "no_proxy": "127.0.0.1"}
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", textwrap.dedent(code)], env=environment, check=False
    )
    assert process.returncode == -9
    begun = (await store.list())[0]
    assert not begun.complete and begun.nbytes > 0
    file = stored(store, server)
    assert await whole(file) == FILE
    assert file.download.received == len(FILE) - begun.nbytes


async def test_a_wrong_block_of_an_earlier_process_alone_is_fetched_again(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    first = stored(store, server)
    await first.read(300_000, 10)
    await first.close()
    begun = (await store.list())[0].nbytes
    damage(tmp_path, 100)
    file = stored(store, server)
    assert await whole(file) == FILE
    assert file.download.received == len(FILE) - begun + BLOCK


@pytest.mark.parametrize("known", [True, False])
async def test_a_damaged_file_in_the_store(
    store: ModelsStore, server: HostileServer, tmp_path: Path, known: bool
) -> None:
    """``verify`` finds it, and the next load fetches that block alone."""
    assert await whole(stored(store, server)) == FILE
    damage(tmp_path, 5 * BLOCK + 1)
    assert await store.verify(server.url("f")) == ["f"]
    assert not await store.has(server.url("f"))
    file = stored(store, server, SHA256 if known else None)
    assert await whole(file) == FILE
    assert file.download.received == BLOCK


@pytest.mark.parametrize("seed", range(4))
async def test_a_bit_that_flips_on_its_way(
    store: ModelsStore, server: HostileServer, seed: int
) -> None:
    """The digest of a whole file does not say where: blocks come again until it is right."""
    server.flips, server.random = 1, random.Random(seed)
    file = stored(store, server, SHA256)
    try:
        await file.read(0, len(FILE))
        await file.verify()
        assert await file.read(0, len(FILE)) == FILE
        assert file.download.received <= 2 * len(FILE) + BLOCK
    finally:
        await file.close()


async def test_a_file_that_is_wrong_on_its_server(
    store: ModelsStore, server: HostileServer
) -> None:
    file = stored(store, server, "0" * 64)
    with pytest.raises(CorruptCheckpointError, match="SHA256 is"):
        await whole(file)
    assert await store.size() == 0


async def test_a_file_that_changes_is_begun_anew(store: ModelsStore, server: HostileServer) -> None:
    first = stored(store, server)
    await first.read(0, 200_000)
    await first.close()
    other = FILE[::-1]
    server.files, server.etags = {"f": other}, {"f": '"2"'}
    with pytest.raises(ChangedFileError, match="another ETag"):
        await whole(stored(store, server))
    assert await whole(stored(store, server)) == other


async def test_who_reads_while_it_changes_is_told_so(
    store: ModelsStore, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not that what was kept of it is gone."""
    first = stored(store, server)
    await first.size()
    await first.close()
    server.etags = {"f": '"2"'}
    file = stored(store, server)
    await file.size()

    gone, forget = asyncio.Event(), file.cached.forget

    async def forgotten() -> None:
        await forget()
        gone.set()

    async def late(offset: int, length: int) -> bytes:
        await gone.wait()
        raise SourceError("f was closed")

    monkeypatch.setattr(file.cached, "forget", forgotten)
    monkeypatch.setattr(file.cached.file, "read", late)
    with pytest.raises(ChangedFileError, match="another ETag"):
        await file.read(0, 10)
    await file.close()
    assert await store.size() == 0


async def test_refresh_asks_whether_it_changed(store: ModelsStore, server: HostileServer) -> None:
    assert await whole(stored(store, server)) == FILE
    server.requests.clear()
    assert await whole(stored(store, server, refresh=True)) == FILE
    assert server.requests == [("f", "bytes=0-0")]
    server.files, server.etags = {"f": FILE[:-1]}, {"f": '"2"'}
    assert await whole(stored(store, server)) == FILE
    assert await whole(stored(store, server, refresh=True)) == FILE[:-1]


async def test_two_at_once_share_one_download(store: ModelsStore, server: HostileServer) -> None:
    files = [stored(store, server), stored(store, server)]
    found = await asyncio.gather(*map(whole, files))
    assert found == [FILE, FILE]
    assert sum(file.download.received for file in files) == len(FILE)


async def test_who_waits_goes_on_where_the_first_stops(
    store: ModelsStore, server: HostileServer
) -> None:
    first, second = stored(store, server), stored(store, server)
    await first.read(0, 100_000)
    waiting = asyncio.create_task(whole(second))
    await asyncio.sleep(0.05)
    await first.close()
    assert await waiting == FILE


async def test_models_in_use_are_not_deleted_and_others_by_last_use(server: HostileServer) -> None:
    backend = MemoryBackend(limit=200 << 20)
    store = ModelsStore(backend)
    for path in ("a", "b", "c"):
        server.files[path] = FILE
        model = StoredModel(store, server.url(path), QUICK, open_url)
        await whole(model.file(path, server.url(path)))
        await asyncio.sleep(0.01)
    used = StoredModel(store, server.url("a"), QUICK, open_url)
    file = used.file("a", server.url("a"))
    await file.size()
    with pytest.raises(SourceError, match="is in use"):
        await store.delete(server.url("a"))
    assert [model.source[-1] for model in await store.list()] == ["a", "c", "b"]
    await store.make_room((136 << 20) - 2 * len(FILE))
    assert [model.source[-1] for model in await store.list()] == ["a", "c"]
    with pytest.raises(StorageFullError, match="are missing") as caught:
        await store.make_room(1 << 30)
    assert caught.value.needed == 1 << 30
    assert caught.value.free == (200 << 20) - len(FILE)  # with "c", which would not be enough
    assert [model.source[-1] for model in await store.list()] == ["a", "c"]
    await store.make_room((136 << 20) - len(FILE))
    assert [model.source[-1] for model in await store.list()] == ["a"]
    await file.close()
    await store.delete(server.url("a"))
    assert await store.list() == []


async def test_a_file_that_never_ends_does_not_fill_the_store(server: HostileServer) -> None:
    """Of one that does not tell its length there is room for what the store may hold. Nothing else
    is deleted for it, and nothing is left of it: it could not be gone on with."""
    backend = MemoryBackend(limit=SPARE_BYTES + len(FILE) + 48 * BLOCK)
    store = ModelsStore(backend)
    server.files["a"] = FILE
    other = StoredModel(store, server.url("a"), QUICK, open_url)
    await whole(other.file("a", server.url("a")))
    server.rate, server.faults = 1.0, ("endless",)
    file = stored(store, server, timeout=30)
    with pytest.raises(StorageFullError, match=r"not tell its length, .* more than the 393 kB"):
        await file.size()
    assert (await backend.room()).used == len(FILE)
    server.faults = ("untold",)
    server.files["f"] = FILE[: 40 * BLOCK + 5]
    assert await whole(file) == server.files["f"]
    assert [model.complete for model in await store.list()] == [True, True]


async def test_closing_ends_a_stalled_download_at_once(
    store: ModelsStore, server: HostileServer
) -> None:
    server.faults, server.rate = ("stall",), 1.0
    file = stored(store, server, timeout=30)
    task = asyncio.create_task(file.read(0, 1000))
    while not server.requests:  # noqa: ASYNC110 - the server does not tell
        await asyncio.sleep(0.01)
    begun = time.monotonic()
    task.cancel()
    await file.close()
    assert time.monotonic() - begun < 15
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_damaged_shard_of_mlc_alone_is_fetched_again(
    store: ModelsStore, server: HostileServer, tmp_path: Path
) -> None:
    """Its MD5 is in the model's index; what was read of it before is said to have changed."""
    from test_fetch_checkpoint import mlc_files

    from webllm_py.checkpoint import open_checkpoint

    server.files = {f"m/{name}": data for name, data in mlc_files(tmp_path / "made").items()}
    fetch = FetchOptions(**{**QUICK.__dict__, "store": store})
    checkpoint = await open_checkpoint(server.url("m/"), fetch)
    await checkpoint.make_room()
    server.flips = 1
    tensor = checkpoint.tensors["model.norm.weight"]
    await tensor.source.read(tensor.offset, tensor.nbytes)
    assert await checkpoint.verify()
    assert not await checkpoint.verify()
    right = await tensor.source.read(tensor.offset, tensor.nbytes)
    await checkpoint.close()
    shard = server.files["m/params_shard_0.bin"]
    assert right == shard[tensor.offset : tensor.offset + tensor.nbytes]
    assert await store.has(server.url("m/"))
    server.requests.clear()
    again = await open_checkpoint(server.url("m/"), fetch)
    assert not await again.verify()
    await again.close()
    assert server.requests == []
