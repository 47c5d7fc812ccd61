"""Seeded runs against each way in which servers fail: few of them by default, 50 with --long."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_runs import BLOCK, FILE, KINDS, OTHER, PATH, RATE, TWICE, Tally, prepare
from hostile_server import HostileServer, hostile_server

from webllm_py.errors import ChangedFileError, SourceError, WebLLMError
from webllm_py.fetch.backends.backend import MemoryBackend
from webllm_py.fetch.downloads.stored_file import StoredFile
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.resolver import open_url
from webllm_py.fetch.store.models_store import ModelsStore
from webllm_py.fetch.store.stored_model import StoredFolder, StoredModel

OPTIONS = FetchOptions(timeout=0.25, backoff=0.002, tries=12)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileServer]:
    """A test's own: see ``test_fetch_hostile``."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with hostile_server({}) as server:
        yield server


def opened(server: HostileServer, store: ModelsStore) -> StoredFile:
    model = StoredModel(store, server.url("m/"), OPTIONS, open_url)
    model.block_bytes = BLOCK
    return StoredFolder(model, server.url("m/")).source_of("f.bin")


async def read(file: StoredFile) -> tuple[bytes | WebLLMError, int]:
    """The file as the loader reads it, or the error that says why not; bytes that came."""
    try:
        size = await file.size() or 0
        parts = [await file.read_chunk(at, min(70_000, size - at)) for at in range(0, size, 70_000)]
        if await file.verify():
            parts = [await file.read_chunk(0, size)]
        found: bytes | WebLLMError = b"".join(map(bytes, parts))
    except WebLLMError as error:
        found = error
    finally:
        await file.close()
    return found, file.download.received


@pytest.mark.parametrize("kind", KINDS)
async def test_whole_and_right_or_a_named_error(
    server: HostileServer, kind: str, long: bool, record_property: pytest.RecordProperty
) -> None:
    tally = Tally(kind)
    for seed in range(50 if long else 2):
        prepare(server, kind, seed)
        store = ModelsStore(MemoryBackend())
        found, count = await read(opened(server, store))
        if kind == "change" and isinstance(found, ChangedFileError):
            tally.errors.add("changed")
            server.rate = 0
            found, count = await read(opened(server, store))
        if isinstance(found, WebLLMError):
            tally.wrong(str(found))
        else:
            tally.right(hashlib.sha256(found).hexdigest(), count)
    record_property("runs", str(tally))
    print(f"\n{tally}")
    assert tally.whole >= (40 if long else 1)
    assert tally.twice < TWICE


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flip"])
async def test_what_is_not_kept(server: HostileServer, kind: str, long: bool) -> None:
    """Nor compared with anything; the rest is as true of it."""
    received = whole = 0
    for seed in range(50 if long else 2):
        server.files, server.other = {"f.bin": FILE}, {"f.bin": OTHER}
        server.etags, server.random = {"f.bin": '"1"'}, random.Random(seed)
        # It takes one reply, unless that is cut.
        server.faults = (kind, "cut") if kind == "change" else (kind,)
        server.rate = 1 / 3 if kind == "change" else RATE.get(kind, 1 / 3)
        file = open_url(server.url("f.bin"), replace(OPTIONS, keep=False))
        try:
            size = await file.size() or 0
            chunks = [
                await file.read_chunk(at, min(70_000, size - at)) for at in range(0, size, 70_000)
            ]
            assert b"".join(chunks) in ((FILE, OTHER) if kind == "change" else (FILE,))
            whole, received = whole + 1, received + file.facts.received
        except ChangedFileError:
            assert kind == "change"
        finally:
            await file.close()
    print(f"\n{kind}: {whole} are whole")
    assert whole == seed + 1 or kind == "change"
    assert received < (1 + TWICE) * max(1, whole) * len(FILE)


async def test_each_retry_is_told_of(server: HostileServer) -> None:
    told: list[tuple[str, float]] = []
    options = FetchOptions(
        keep=False,
        tries=3,
        backoff=0.01,
        on_retry=lambda *what: told.append((str(what[0]), what[1])),
    )
    server.files, server.faults, server.rate = {"f.bin": FILE}, ("unavailable",), 1.0
    file = open_url(server.url("f.bin"), options)
    with pytest.raises(SourceError, match="503"):
        await file.size()
    await file.close()
    assert len(told) == 2 and all("503" in text for text, _ in told)
    assert 0 < told[0][1] <= 0.01 and 0.01 <= told[1][1] <= 0.02


async def test_a_block_that_is_always_wrong_is_named(server: HostileServer, tmp_path: Path) -> None:
    prepare(server, "none", 0)
    server.files[PATH], server.rate = OTHER, 0
    found, _ = await read(opened(server, ModelsStore(MemoryBackend())))
    assert "is damaged on its server: bytes 0 to 8192" in str(found)
