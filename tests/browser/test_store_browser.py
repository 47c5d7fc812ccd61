"""Models kept in Chromium: every backend, and a server that fails by chance.

Against each way in which servers fail it is a seeded run or five, with ``--long`` 50.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served import ROOT, run_python

sys.path.insert(0, str(ROOT / "tests" / "unit" / "fetch"))

from hostile_runs import BLOCK, KINDS, TWICE, Tally, prepare
from hostile_server import FAULTS, HostileServer, hostile_server

FILE = random.Random(3).randbytes(700_000)
PRELUDE = (
    f"""
    BLOCK = {BLOCK}
"""
    + """
    import asyncio, hashlib, json, random
    from webllm_py import FetchOptions, models_store
    from webllm_py.errors import SourceError, StorageFullError, WebLLMError
    from webllm_py.fetch.resolver import open_url
    from webllm_py.fetch.store.stored_model import StoredFolder, StoredModel

    FILE = random.Random(3).randbytes(700_000)
    SHA256 = hashlib.sha256(FILE).hexdigest()

    def stored(kind, url, sha256=None, timeout=30):
        options = FetchOptions(timeout=timeout, backoff=0.002, tries=12)
        model = StoredModel(models_store(kind), url, options, open_url)
        model.block_bytes = 1 << 16
        return model.file("f", url, sha256=sha256)

    async def whole(file):
        chunks = [await file.read_chunk(at, 100_000) for at in range(0, len(FILE), 100_000)]
        assert all(chunk.constructor.name == "Uint8Array" for chunk in chunks)
        replaced = await file.verify()
        data = await file.read(0, len(FILE))
        await file.close()
        return [data == FILE, replaced, file.download.received]

    async def run(url):
        '''A file's SHA-256 as the loader reads it, or an error, and the bytes that came.'''
        options = FetchOptions(timeout=0.25, backoff=0.002, tries=12)
        model = StoredModel(models_store(), url, options, open_url)
        model.block_bytes = BLOCK
        file = StoredFolder(model, url).source_of("f.bin")
        digest, error = hashlib.sha256(), None
        try:
            size = await file.size()
            for at in range(0, size, 70_000):
                chunk = await file.read_chunk(at, min(70_000, size - at))
                digest.update(chunk.to_bytes())
            if await file.verify():
                digest = hashlib.sha256((await file.read_chunk(0, size)).to_bytes())
        except WebLLMError as failure:
            error = [type(failure).__name__, str(failure)]
        finally:
            await file.close()
        return [digest.hexdigest(), error, file.download.received]
"""
)

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with hostile_server({"f": FILE, "g": FILE}) as server:
        yield server


@pytest.fixture
def run(selenium: Any, server: HostileServer) -> Run:
    """Runs Python in the page; the last line's value."""
    server.requests.clear()
    server.rate, server.flips, server.faults = 0.0, 0, FAULTS

    def run(code: str, **names: object) -> Any:
        return run_python(selenium, code, {"url": server.url("f")} | names)

    return run


@pytest.mark.parametrize("kind", ["opfs", "cache", "indexeddb", "memory"])
def test_a_download_from_a_bad_server(run: Run, server: HostileServer, kind: str) -> None:
    """Closed half way, gone on with, read again without a request, and deleted."""
    server.random, server.rate = random.Random(1), 0.25
    half, (right, replaced, received) = run(
        """
        store = models_store(kind)
        await store.delete(url)
        file = stored(kind, url, timeout=0.3)
        await file.read(200_000, 1)
        await file.close()
        kept = await store.size(url)
        rest = await whole(stored(kind, url, SHA256, timeout=0.3))
        [[kept, file.download.received], rest]
        """,
        kind=kind,
    )
    assert half[0] >= 2 * 65536 and right and not replaced
    assert received <= 1.02 * (len(FILE) - half[0])
    server.requests.clear()
    again, listed, gone = run(
        """
        again = await whole(stored(kind, url))
        listed = [
            [model.complete, model.nbytes] for model in await store.list() if model.source == url
        ]
        await store.delete(url)
        [again, listed, await store.has(url)]
        """,
        kind=kind,
    )
    assert again == [True, False, 0] and server.requests == []
    assert listed == [[True, len(FILE)]] and not gone


@pytest.fixture(scope="module")
def bad_server() -> Iterator[HostileServer]:
    with hostile_server({}) as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_whole_and_right_or_a_named_error(
    run: Run, bad_server: HostileServer, kind: str, long: bool
) -> None:
    tally, folder = Tally(kind), bad_server.url("m/")
    for seed in range(50 if long else 5 if kind == "flip" else 1):
        prepare(bad_server, kind, seed)
        first = "await models_store().delete(folder)\nawait run(folder)"
        found, error, received = run(first, folder=folder)
        if kind == "change" and error and error[0] == "ChangedFileError":
            tally.errors.add("changed")
            bad_server.rate = 0
            found, error, received = run("await run(folder)", folder=folder)
        if error:
            tally.wrong(error[1])
        else:
            tally.right(found, received)
    print(f"\n{tally}")
    assert tally.whole >= (40 if long else 1)
    assert tally.twice < TWICE


def test_a_download_from_a_bad_server_that_is_not_kept(run: Run, server: HostileServer) -> None:
    server.random, server.rate = random.Random(1), 0.5
    server.faults = ("cut", "busy", "unavailable", "refuse")
    right, retries = run("""
        retries = []
        options = FetchOptions(
            keep=False, timeout=0.5, backoff=0.002, tries=12,
            on_retry=lambda error, seconds: retries.append(str(error)),
        )
        file = open_url(url, options)
        chunks = [await file.read_chunk(at, 100_000) for at in range(0, len(FILE), 100_000)]
        data = b"".join([chunk.to_bytes() for chunk in chunks])
        await file.close()
        [data == FILE, retries]
        """)
    assert right and retries and all(server.url("f") in text for text in retries)


def test_two_share_one_download(run: Run) -> None:
    found = run("""
        await models_store().delete(url)
        found = await asyncio.gather(whole(stored(None, url)), whole(stored(None, url)))
        found
        """)
    assert [right for right, _, _ in found] == [True, True]
    assert sum(received for _, _, received in found) == len(FILE)


def test_who_knows_a_file_lets_another_download_it(run: Run) -> None:
    """Its handle too, which is one's alone."""
    found = run("""
        await models_store().delete(url)
        first, second = stored(None, url), stored(None, url)
        await first.size()
        await second.verify()
        [await whole(first), await whole(second)]
        """)
    assert [right for right, _, _ in found] == [True, True]
    assert [received for _, _, received in found] == [65536, len(FILE) - 65536]


def test_what_is_used_is_not_deleted_and_a_damaged_block_comes_again(
    run: Run, server: HostileServer
) -> None:
    server.flips, server.random = 1, random.Random(2)
    used, (right, replaced, _), room = run("""
        await models_store().delete(url)
        file = stored(None, url, SHA256)
        await file.size()
        used = ""
        try:
            await models_store().delete(url)
        except SourceError as error:
            used = str(error)
        await file.verify()
        rest = await whole(file)
        room = await models_store().room()
        try:
            await models_store().make_room(room.free + 1)
        except StorageFullError as error:
            missing = str(error)
        [used, rest, [room.used, room.free, missing]]
        """)
    assert "is in use" in used
    assert right and not replaced  # verify() said so before
    assert room[0] > len(FILE) and room[1] > 0 and "are missing" in room[2]


def test_the_browser_is_asked_to_keep_it(run: Run) -> None:
    assert run("""
        import js
        from pyodide.code import run_js

        await models_store().delete(url)
        run_js('''
            globalThis.asked = 0;
            navigator.storage.persisted = async () => false;
            navigator.storage.persist = async () => { asked += 1; return true; };
            undefined;
        ''')
        await whole(stored(None, url))
        run_js("delete navigator.storage.persisted; delete navigator.storage.persist; undefined")
        js.asked
        """) == 1  # fmt: skip


def test_export_and_import(run: Run) -> None:
    """To a folder and to one file of the browser's file system, and back from each."""
    found = run("""
        import js
        from pyodide.ffi import to_js

        await whole(stored(None, url))
        create = to_js({"create": True}, dict_converter=js.Object.fromEntries)
        root = await js.navigator.storage.getDirectory()
        folder = await root.getDirectoryHandle("exported", create)
        archive = await root.getFileHandle("model.tar", create)
        found = []
        for target in (folder, archive):
            await models_store().export_to(url, target)
            await models_store("memory").delete(url)
            source = await models_store("memory").import_from(target)
            found.append([source, await whole(stored("memory", url))])
        found
        """)
    assert [taken[1] for taken in found] == [[True, False, 0]] * 2


def test_a_store_that_gets_full_stops_no_load(run: Run, selenium: Any) -> None:
    """And the next one keeps it, where there is room again."""
    server = "http://127.0.0.1:" + str(selenium.server_port)
    used = run("await models_store().delete(url)\n(await models_store().room()).used")
    quota = {"origin": server, "quotaSize": used + 400_000}
    selenium.driver.execute_cdp_cmd("Storage.overrideQuotaForOrigin", quota)
    try:
        found, words = run("""
            import warnings

            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                file = stored(None, url, SHA256)
                chunks = [await file.read_chunk(at, 100_000) for at in range(0, len(FILE), 100_000)]
                await file.verify()
                await file.close()
            whole_file = b"".join(bytes(chunk.to_bytes()) for chunk in chunks) == FILE
            [whole_file, [str(warning.message) for warning in caught]]
            """)
    finally:
        selenium.driver.execute_cdp_cmd("Storage.overrideQuotaForOrigin", {"origin": server})
    assert found and any("is not kept: the models' store" in text for text in words)
    right, kept = run("""
        right, _, _ = await whole(stored(None, url, SHA256))
        [right, await models_store().has(url)]
        """)
    assert right and kept


def test_a_checkpoint_is_read_from_the_store(run: Run, server: HostileServer, shared: Path) -> None:
    data = (shared / "checkpoints/stories260K/stories260K.gguf").read_bytes()
    server.files["s.gguf"] = data
    first, second, kind = run(
        """
        import zlib
        from webllm_py.checkpoint import open_checkpoint

        async def crc():
            checkpoint = await open_checkpoint(url.replace("/f", "/s.gguf"), FetchOptions())
            await checkpoint.make_room()
            value = 0
            for tensor in checkpoint.tensors.values():
                chunk = await tensor.source.read_chunk(tensor.offset, tensor.nbytes)
                value = zlib.crc32(chunk.to_bytes(), value)
            await checkpoint.verify()
            await checkpoint.close()
            return value

        [await crc(), await crc(), models_store().backend.name]
        """
    )
    assert first == second and kind == "opfs"
    assert len(server.requests) < 4
