"""What comes is read before the store has it, in bounded memory; a full store stops no load."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator

import pytest
from hostile_server import HostileServer, hostile_server

from webllm_py.errors import CorruptCheckpointError, SourceError, StorageFullError
from webllm_py.fetch.backends.backend import MemoryBackend, MemoryFile
from webllm_py.fetch.backends.records import FileRecord
from webllm_py.fetch.downloads import write_behind
from webllm_py.fetch.downloads.cached_file import CachedFile
from webllm_py.fetch.downloads.stored_file import StoredFile
from webllm_py.fetch.http.url import FileFacts
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.resolver import open_url
from webllm_py.fetch.source import Chunk
from webllm_py.fetch.store.models_store import ModelsStore
from webllm_py.fetch.store.stored_model import StoredModel

FILE = random.Random(8).randbytes(600_000)
SHA256 = hashlib.sha256(FILE).hexdigest()
BLOCK = 1 << 13


class SlowBackend(MemoryBackend):
    """Writes when it is let; takes so many blocks and no more."""

    def __init__(self, most: int = 1 << 30) -> None:
        super().__init__()
        self.may_write = asyncio.Event()
        self.most = most

    async def open(
        self, model: str, file: str, size: int, block_bytes: int, *, complete: bool = False
    ) -> MemoryFile:
        opened = await super().open(model, file, size, block_bytes, complete=complete)
        write = opened.write

        async def slowly(index: int, chunk: Chunk) -> bytes:
            await self.may_write.wait()
            if self.most == 0:
                raise StorageFullError("no more room", needed=0, free=0)
            self.most -= 1
            return await write(index, chunk)

        opened.write = slowly  # type: ignore[method-assign]
        return opened


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with hostile_server({"f": FILE}) as server:
        yield server


def opened(server: HostileServer, backend: MemoryBackend, sha256: str | None = None) -> StoredFile:
    options = FetchOptions(timeout=30, backoff=0.002)
    model = StoredModel(ModelsStore(backend), server.url("f"), options, open_url)
    model.block_bytes = BLOCK
    return model.file("f", server.url("f"), sha256=sha256)


async def read(file: StoredFile) -> bytes:
    parts = [
        bytes(await file.read_chunk(at, min(70_000, len(FILE) - at)))
        for at in range(0, len(FILE), 70_000)
    ]
    return b"".join(parts)


async def test_what_came_is_read_before_it_is_written(server: HostileServer) -> None:
    backend = SlowBackend()
    file = opened(server, backend, SHA256)
    assert await asyncio.wait_for(read(file), 60) == FILE
    assert not await asyncio.wait_for(file.verify(), 60)
    assert await file.cached.file.blocks() == {}
    backend.may_write.set()
    await file.close()
    assert file.keeper.held_bytes.count == 0
    server.requests.clear()
    again = opened(server, backend)
    assert await read(again) == FILE
    await again.close()
    assert server.requests == []


async def test_what_is_kept_is_read_ahead(server: HostileServer) -> None:
    """And what is expected and not read holds nothing up."""
    backend = MemoryBackend()
    first = opened(server, backend)
    first.expect(0, BLOCK)  # not there yet: nothing begins
    assert await read(first) == FILE
    await first.close()
    file = opened(server, backend)
    await file.size()
    places = [(at, 70_000) for at in range(0, 560_000, 70_000)]
    for place in places:
        file.expect(*place)
    reads = file.reader.read_beside
    file.reader.read_beside = None  # type: ignore[assignment, method-assign]
    for at, length in places[:-1]:
        chunk = await file.read_chunk(at, length)
        assert bytes(chunk) == FILE[at : at + length]
        file.release(chunk)
    file.reader.read_beside = reads  # type: ignore[method-assign]
    assert bytes(await file.read_chunk(5, 10)) == FILE[5:15]
    await file.close()


async def test_memory_is_bounded(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "MOST_BYTES", 20 * BLOCK)
    backend = SlowBackend()
    file = opened(server, backend)
    await file.size()
    reading = asyncio.create_task(read(file))
    while file.keeper.held_bytes.count <= 10 * BLOCK:  # noqa: ASYNC110 - it does not tell
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # the download waits for the store now
    assert 10 * BLOCK < file.keeper.held_bytes.count <= 20 * BLOCK
    assert not reading.done()
    backend.may_write.set()
    assert await reading == FILE  # what was let go is read from the store
    assert file.keeper.held_bytes.count <= 20 * BLOCK
    assert not await file.verify()
    await file.close()


@pytest.mark.parametrize("taken", [0, 1, 30])
@pytest.mark.parametrize("sha256", [None, SHA256])
async def test_a_store_that_gets_full_stops_no_load(
    server: HostileServer, taken: int, sha256: str | None
) -> None:
    backend = SlowBackend(taken)
    backend.may_write.set()
    file = opened(server, backend, sha256)
    with pytest.warns(RuntimeWarning, match="is not kept: no more room"):
        assert await read(file) == FILE
        assert not await file.verify()
    assert await file.missing_bytes() == 0
    await file.close()
    backend.most = 1 << 30  # there is room again: what came then need not come again
    later = opened(server, backend, sha256)
    assert await read(later) == FILE
    assert not await later.verify()
    await later.close()
    assert later.download.received <= len(FILE) - taken * BLOCK


async def test_what_is_not_kept_is_compared_as_well(server: HostileServer) -> None:
    backend = SlowBackend(20)
    backend.may_write.set()
    file = opened(server, backend, "0" * 64)
    with pytest.warns(RuntimeWarning, match="is not kept"):
        assert await read(file) == FILE
        with pytest.raises(CorruptCheckpointError, match="must be 000"):
            await file.verify()
    with pytest.raises(CorruptCheckpointError, match="came damaged"):
        await file.repair("md5", "0" * 32)
    await file.close()


@pytest.mark.parametrize("sha256", [None, SHA256])
async def test_a_file_without_a_length_that_cannot_be_kept(
    server: HostileServer, sha256: str | None
) -> None:
    server.rate, server.faults = 1.0, ("untold",)
    backend = SlowBackend(most=5)
    backend.may_write.set()
    file = opened(server, backend, sha256)
    with pytest.warns(RuntimeWarning, match="is not kept: no more room"):
        assert await file.size() is None
    assert (await backend.room()).used == 0
    assert await file.read_all(len(FILE)) == FILE
    with pytest.raises(SourceError):
        await file.read_all(len(FILE) - 1)
    await file.close()
    server.files["f"] = FILE[:-1] + b"!"
    damaged = opened(server, SlowBackend(most=0), SHA256)
    damaged.keeper.backend.may_write.set()
    with pytest.warns(RuntimeWarning), pytest.raises(CorruptCheckpointError, match="damaged"):
        await damaged.read_all(len(FILE))
    await damaged.close()


async def test_a_store_that_takes_no_record(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = MemoryBackend()

    async def full(model: str, file: str, text: str) -> None:
        if file:
            raise StorageFullError("no room at all", needed=0, free=0)

    monkeypatch.setattr(backend, "write_record", full)
    file = opened(server, backend, SHA256)
    with pytest.warns(RuntimeWarning, match="is not kept: no room at all"):
        assert await file.size() == len(FILE)
    assert await read(file) == FILE
    assert not await file.verify()
    await file.close()
    with pytest.raises(SourceError, match="was closed"):
        await file.size()


async def test_who_looks_sees_what_is_written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a block would be neither fetched nor found."""
    backend, record = SlowBackend(), FileRecord("f", "https://example.org/f", block_bytes=BLOCK)
    cached = CachedFile(backend, "model", record)
    await cached.begin(FileFacts(2 * BLOCK), ranges=True)
    blocks = cached.file.blocks

    async def slowly() -> dict[int, bytes]:
        found = await blocks()
        backend.may_write.set()
        await cached.settle()
        return found

    monkeypatch.setattr(cached.file, "blocks", slowly)
    await cached.write(0, memoryview(FILE[:BLOCK]))
    await cached.look()
    assert list(cached.blocks) == [0] and cached.missing() == [1]
    await cached.close_file()
