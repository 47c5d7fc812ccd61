"""What lies below a kept file in Chromium: its blocks, who may write them, and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from selenium.webdriver import Chrome
from served import ROOT, TestSite

BACKENDS = ROOT / "webllm_py" / "fetch" / "backends"

Run = Callable[[str], Any]


def script_of(name: str) -> str:
    """JavaScript: the value of a script of the backends."""
    text = (BACKENDS / f"{name}.js").read_text(encoding="utf-8")
    return f"(0, eval)({json.dumps(text)})"


PLACE = f"{script_of('file_system')}({script_of('retries')}()).FileSystemPlace"


@pytest.fixture
def run(driver: Chrome, site: TestSite) -> Run:
    """Runs JavaScript in a page of the site; what it returns."""
    site.overlay["/blank.html"] = b"<!doctype html><link rel=icon href=icon.svg>"
    driver.get(f"{site.url}blank.html")

    def run(code: str) -> Any:
        done = "const done = arguments[0];"
        ends = ".then((value) => done([value]), (error) => done(String(error)));"
        found = driver.execute_async_script(f"{done} (async () => {{ {code} }})(){ends}")
        assert isinstance(found, list), found
        return found[0]

    return run


@pytest.fixture(scope="module")
def disk_script() -> str:
    """JavaScript: what makes disk.js's files, each time with a worker of its own."""
    http = ("../http/url_stream", "../http/connection")
    names = ("disk", "disk_worker", "block_file", "retries", *http, "digest", "sha256")
    disk, *parts = map(script_of, names)
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


def test_who_finds_a_file_taken_reads_it_and_waits_to_write(run: Run, disk_script: str) -> None:
    """Two tabs: both read, one at a time writes, and the other goes on with what is there."""
    found = run(f"""
        {disk_script}
        const [one, two] = [newDisk(), newDisk()];
        const [writer, follower] = [open(one), open(two)];
        const none = await follower.blocks();
        await writer.write(0, bytes);
        const seen = await follower.blocks();
        const read = await follower.read(990, 10);
        const second = follower.write(1, bytes.subarray(0, 10));
        const held = [await isHeld(second)];
        await writer.letGo(false);
        await second;
        const write = [1, 2].map((start) => writer.write(0, bytes.map((byte) => byte + start)));
        const gone = writer.letGo(false); // with what began to be written before
        held.push(await isHeld(gone));
        await follower.letGo(false);
        await Promise.all([...write, gone]);
        await follower.write(0, bytes);
        await writer.close();
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
    assert found == [{}, [True, ["0"]], read, [True] * 3, [both, both], ["1"]]


def test_what_was_cut_or_has_no_bytes_is_no_block(run: Run, disk_script: str) -> None:
    """And a worker that ended in the middle holds nobody up."""
    found = run(f"""
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


def test_a_worker_that_may_have_none_does_it_itself(run: Run, disk_script: str) -> None:
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
    found = run(f"""
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


def test_sha256_of_pieces_of_any_length(run: Run) -> None:
    found = run(f"""
        const Sha256 = {script_of("sha256")}();
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


def test_two_tabs_write_a_record_at_once(run: Run) -> None:
    script = f"""
        const place = new ({PLACE})();
        const bytes = new TextEncoder().encode("a record");
        (async () => {{
          for (let i = 0; i < 20; i++) await place.put("m", "r a", bytes);
          return (await place.get("m", "r a")).size;
        }})().then(postMessage, (error) => postMessage(error.name));
    """
    found = run(f"""
        const address = URL.createObjectURL(new Blob([{json.dumps(script)}]));
        return Promise.all([0, 1].map(() => new Promise((resolve) => {{
          const worker = new Worker(address);
          worker.onmessage = (event) => resolve(event.data);
        }})));
    """)
    assert found == [len("a record")] * 2


def test_models_of_the_layout_before_are_deleted(run: Run) -> None:
    assert run(f"""
        const root = await navigator.storage.getDirectory();
        const create = {{ create: true }};
        const earlier = await root.getDirectoryHandle("webllm_py models", create);
        await earlier.getFileHandle("r ", create);
        const place = new ({PLACE})();
        await place.folders();
        const names = [];
        for await (const name of root.keys()) names.push(name);
        return [names.includes("webllm_py models"), names.includes("webllm_py files")];
        """) == [False, True]  # fmt: skip
