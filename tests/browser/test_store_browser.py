"""Models kept in Chromium: every backend, a server that fails by chance, files that are taken."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served import ROOT, run_python

sys.path.insert(0, str(ROOT / "tests" / "unit" / "fetch"))

from hostile_server import FAULTS, HostileServer, hostile_server

BACKENDS = ROOT / "webllm_py" / "fetch" / "backends"
FILE = random.Random(3).randbytes(700_000)
PRELUDE = """
    import asyncio, hashlib, json, random
    from webllm_py import FetchOptions, models_store
    from webllm_py.errors import SourceError, StorageFullError
    from webllm_py.fetch.resolver import open_url
    from webllm_py.fetch.store.stored_model import StoredModel

    FILE = random.Random(3).randbytes(700_000)
    SHA256 = hashlib.sha256(FILE).hexdigest()

    def stored(kind, url, sha256=None):
        options = FetchOptions(timeout=0.3, backoff=0.002, tries=12)
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
"""

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
        file = stored(kind, url)
        await file.read(200_000, 1)
        await file.close()
        kept = await store.size(url)
        rest = await whole(stored(kind, url, SHA256))
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


@pytest.fixture(scope="module")
def disk_script() -> str:
    """JavaScript: what makes disk.js's files, each time with a worker of its own."""
    http = ("../http/url_stream", "../http/connection")
    names = ("disk", "desk", "block_file", *http, "digest", "sha256")
    texts = ((BACKENDS / f"{name}.js").read_text(encoding="utf-8") for name in names)
    disk, *parts = (f"(0, eval)({json.dumps(text)})" for text in texts)
    return f"""
        const newDisk = () => ({disk})({", ".join(parts)});
        const bytes = new Uint8Array(1000).map((_, i) => i);
        const path = (kind) => ["webllm_py files", "m", `${{kind}} a`];
        const open = (disk, complete) => disk.openFile(path("f"), path("d"), 1010, 1000, complete);
        const digestOf = async (part) => {{
          const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", part));
          return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
        }};
        const isHeld = (promise) => Promise.race([
          promise.then(() => false), new Promise((resolve) => setTimeout(resolve, 300, true))
        ]);
    """


def test_who_finds_a_file_taken_reads_it_and_waits_to_write(
    selenium: Any, disk_script: str
) -> None:
    """Two tabs: both read, one at a time writes, and the other goes on with what is there."""
    found = selenium.run_js(f"""
        {disk_script}
        const [one, two] = [newDisk(), newDisk()];
        const [writer, follower] = [open(one), open(two)];
        const none = await follower.blocks();
        await writer.write(0, bytes);
        const seen = await follower.blocks();
        const read = await follower.read(990, 10);
        const second = follower.write(1, bytes.subarray(0, 10));
        const held = [await isHeld(second)];
        await writer.close();
        await second;
        await follower.flush();
        await follower.close();
        const [left, right] = [open(one, true), open(two, true)];
        const both = [await left.read(999, 3), await right.read(999, 3)];
        await left.drop(1);
        const repair = left.write(1, bytes.subarray(0, 10)); // once the other has loaded
        held.push(await isHeld(repair));
        await right.close();
        await repair;
        await left.drop(0);
        const kept = await left.blocks();
        await left.close();
        const digest = await digestOf(bytes);
        return [none, [seen[0] === digest, Object.keys(seen)], [...read], held,
                both.map((part) => [...part]), Object.keys(kept)];
    """)
    read, both = [i % 256 for i in range(990, 1000)], [999 % 256, 0, 1]
    assert found == [{}, [True, ["0"]], read, [True, True], [both, both], ["1"]]


def test_what_was_cut_or_has_no_bytes_is_no_block(selenium: Any, disk_script: str) -> None:
    """And a worker that ended in the middle holds nobody up."""
    found = selenium.run_js(f"""
        {disk_script}
        const Plain = Worker;
        const made = [];
        globalThis.Worker = class extends Plain {{
          constructor(...args) {{ super(...args); made.push(this); }}
        }};
        const [one, two] = [newDisk(), newDisk()];
        const lost = open(one);
        await lost.write(0, bytes);
        await lost.write(1, bytes.subarray(0, 10));
        made[0].terminate();
        globalThis.Worker = Plain;
        const root = await navigator.storage.getDirectory();
        const files = await root.getDirectoryHandle("webllm_py files");
        const data = await (await files.getDirectoryHandle("m")).getFileHandle("f a");
        const file = open(two);
        const before = Object.keys(await file.blocks());
        await file.write(1, bytes.subarray(5, 15));
        const again = [...(await file.read(1000, 10))];
        await file.close();
        const stream = await data.createWritable({{ keepExistingData: true }});
        await stream.truncate(1005);
        await stream.close();
        const cut = open(two);
        const after = Object.keys(await cut.blocks());
        const failure = await cut.read(1000, 10).catch((error) => error.name);
        await cut.close();
        return [before, again, after, failure];
    """)
    assert found == [["0", "1"], [*range(5, 15)], ["0"], "NotFoundError"]


def test_a_worker_that_may_have_none_does_it_itself(selenium: Any, disk_script: str) -> None:
    """As in extensions; a page is offered the Cache API then."""
    script = f"""
        self.Worker = undefined;
        {disk_script}
        (async () => {{
          const disk = newDisk();
          const file = open(disk);
          await file.write(0, bytes);
          const digest = (await file.blocks())[0];
          const digesting = file.digesting();
          await digesting.add(0, 1000);
          const read = await file.read(998, 2);
          const same = [digest, await digesting.end(), await file.digest(0)];
          await file.close();
          postMessage([disk.possible(), [...read], new Set(same).size, same[0].length]);
        }})();
    """
    found = selenium.run_js(f"""
        const worker = new Worker(URL.createObjectURL(new Blob([{json.dumps(script)}])));
        const found = await new Promise((resolve, reject) => {{
          worker.onmessage = (event) => resolve(event.data);
          worker.onerror = (event) => reject(event.message);
        }});
        worker.terminate();
        {disk_script}
        const Plain = Worker;
        delete globalThis.Worker;
        globalThis.Worker = undefined;
        found.push(newDisk().possible());
        globalThis.Worker = Plain;
        return found;
    """)
    assert found == [True, [998 % 256, 999 % 256], 1, 64, False]


def test_sha256_of_pieces_of_any_length(selenium: Any) -> None:
    text = (BACKENDS / "sha256.js").read_text(encoding="utf-8")
    found = selenium.run_js(f"""
        const Sha256 = (0, eval)({json.dumps(text)})();
        return Array.from({{ length: 200 }}, (_, length) => {{
          const digest = new Sha256();
          const bytes = new Uint8Array(length).map((_, i) => i * length);
          for (let at = 0; at < length; at += 1 + (at % 70)) {{
            digest.add(bytes.subarray(at, Math.min(length, at + 1 + (at % 70))));
          }}
          return digest.digest();
        }});
    """)
    for length, digest in enumerate(found):
        data = bytes(i * length % 256 for i in range(length))
        assert digest == hashlib.sha256(data).hexdigest(), length


def test_models_of_the_layout_before_are_deleted(selenium: Any) -> None:
    places = (BACKENDS / "places.js").read_text(encoding="utf-8")
    assert selenium.run_js(f"""
        const root = await navigator.storage.getDirectory();
        const create = {{ create: true }};
        const earlier = await root.getDirectoryHandle("webllm_py models", create);
        await earlier.getFileHandle("r ", create);
        const place = (0, eval)({json.dumps(places)}).open("opfs");
        await place.folders();
        const names = [];
        for await (const name of root.keys()) names.push(name);
        return [names.includes("webllm_py models"), names.includes("webllm_py files")];
        """) == [False, True]  # fmt: skip


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
