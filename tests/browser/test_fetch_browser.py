"""Byte sources in Chromium: replies of ``fetch`` and what a user picked.

The server of tests/unit/fetch is of another origin than the page, which therefore sees only the
headers that the Fetch standard lets it see.
"""

from __future__ import annotations

import json
import random
import sys
import zlib
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.wait import WebDriverWait
from served import ROOT, run_python

sys.path.insert(0, str(ROOT / "tests" / "unit" / "fetch"))

from range_server import FILE, RangeServer, running_server

PRELUDE = """
    import asyncio, json, random, time, zlib
    import js
    from pyodide.ffi import to_js
    from webllm_py.checkpoint import open_checkpoint
    from webllm_py.errors import WebLLMError
    from webllm_py.fetch import resolve
    from webllm_py.fetch.http.browser import FetchFile

    FILE = random.Random(7).randbytes(3_000_000)

    async def failure(awaitable):
        '''Class, message and status of the error that comes, and the seconds until it came.'''
        begun = time.monotonic()
        try:
            await awaitable
        except WebLLMError as error:
            name, status = type(error).__name__, getattr(error, "status", None)
            return [name, str(error), status, time.monotonic() - begun]
        return ["no error", "", None, 0]
"""

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[RangeServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def run(selenium: Any, server: RangeServer) -> Run:
    """Runs Python in the page, with ``base`` the address of the server; the last line's value."""

    def run(code: str, **names: object) -> Any:
        server.requests.clear()
        return run_python(selenium, code, {"base": server.url("")} | names)

    return run


@pytest.mark.parametrize("kind", ["range", "capped", "plain", "chunked"])
def test_reads_anywhere(run: Run, kind: str) -> None:
    size, right = run(
        """
        file = FetchFile(base + kind + "/f.gguf")
        size = await file.size()
        right = []
        for offset, length in [(0, 10), (10, 90_000), (100_000, 0), (400_000, 7), (50, 200_000)]:
            right.append(await file.read(offset, length) == FILE[offset : offset + length])
        chunk = await file.read_chunk(2_500_000, 500_000)
        right.append(chunk.constructor.name == "Uint8Array")
        right.append(chunk.to_bytes() == FILE[2_500_000:])
        await file.close()
        [size, right]
        """,
        kind=kind,
    )
    assert size == (None if kind == "chunked" else len(FILE))
    assert right == [True] * 7


def test_sequential_reads_take_one_request_and_jumps_a_range(run: Run, server: RangeServer) -> None:
    run("""
        file = FetchFile(base + "range/f")
        await file.size()
        for offset in range(0, 1_000_000, 100_000):
            await file.read_chunk(offset, 90_000)
        await file.read(2_500_000, 10)
        await file.read(5, 10)
        await file.pause()
        await file.read(2_000_000, 10)
        await file.close()
        None
        """)
    ranges = [asked for _, asked in server.requests]
    assert ranges == ["bytes=0-", "bytes=2500000-", "bytes=5-", "bytes=2000000-"]


def test_what_is_read_ahead_is_read_again_without_a_request(run: Run, server: RangeServer) -> None:
    """A header in small reads, then chunks: inside of what was read ahead, over its end, behind."""
    right, closed = run("""
        file = FetchFile(base + "range/f")
        right = [await file.read(at, 3000) == FILE[at : at + 3000] for at in range(0, 30_000, 3000)]
        for start, stop in ((30_000, 40_000), (40_000, 1_500_000), (1_500_000, 1_500_010)):
            chunk = await file.read_chunk(start, stop - start)
            right.append(bytes(chunk.to_bytes()) == FILE[start:stop])
        await file.read(1_500_010, 10)
        await file.close()
        [all(right), await failure(file.read(1_500_020, 10))]
        """)
    assert right
    assert closed[0] == "SourceError" and "was closed" in closed[1]
    assert [asked for _, asked in server.requests] == ["bytes=0-"]


def test_concurrent_reads_do_not_mix(run: Run) -> None:
    assert run("""
        file = FetchFile(base + "range/f")
        offsets = [2_000_000, 10, 1_999_000, 500, 2_900_000]
        parts = await asyncio.gather(*(file.read(offset, 50_000) for offset in offsets))
        await file.close()
        parts == [FILE[offset : offset + 50_000] for offset in offsets]
        """)


@pytest.mark.parametrize(
    ("path", "message", "status"),
    [
        ("nothing.gguf", "404 Not Found. There is no such file", 404),
        ("gated/f", "403 Forbidden. Access is refused", 403),
        ("busy/f", "429 Too Many Requests", 429),
        ("html/f", "answered with a web page", 200),
        ("private/f", "must also allow this page to read its files (CORS)", None),
        ("loop", "the connection failed", None),
        ("cut/f", "the connection failed (network error) at byte", None),
        ("stall/f", "the connection brought no byte for 0.5 s at byte 1000 of 3000000", None),
        ("silent/f", "the connection brought no byte for 0.5 s", None),
        ("long/f", "ends at byte 1000", None),
        ("range/f", "ends at byte 3000000, but bytes 5 to 4000005 are needed", None),
    ],
)
def test_failures(run: Run, path: str, message: str, status: int | None) -> None:
    name, text, got, seconds = run(
        """
        file = FetchFile(base + path, timeout=0.5 if "0.5 s" in message else 60)
        result = await failure(file.read(5, 4_000_000))
        await file.close()
        result
        """,
        path=path,
        message=message,
    )
    assert name == "SourceError" and message in text and got == status, text
    assert seconds < 30


def test_file_that_changes_between_ranges(run: Run) -> None:
    name, text, _, _ = run("""
        file = FetchFile(base + "growing/f")
        await file.read(2_000_000, 10)
        result = await failure(file.read(0, 10))  # what lies behind is asked for anew
        await file.close()
        result
        """)
    assert name == "ChangedFileError" and "changed while it was read" in text


def test_cancel_and_close_end_a_read_at_once(run: Run) -> None:
    cancelled, usable, (name, text, _, seconds) = run("""
        file = FetchFile(base + "stall/f", timeout=60)
        task = asyncio.create_task(file.read(0, 5000))
        await asyncio.sleep(0.3)
        task.cancel()
        begun = time.monotonic()
        await asyncio.wait([task])
        cancelled = task.cancelled() and time.monotonic() - begun < 30
        usable = await file.read(0, 1000) == FILE[:1000]
        task = asyncio.create_task(file.read(1000, 5000))
        await asyncio.sleep(0.3)
        await file.close()
        [cancelled, usable, await failure(task)]
        """)
    assert cancelled and usable
    assert name == "SourceError" and "cancelled" in text and seconds < 30


# Checkpoints


def test_a_gguf_file_takes_one_request_to_the_last_tensor(
    run: Run, server: RangeServer, shared: Path
) -> None:
    data = (shared / "checkpoints/stories260K/stories260K.gguf").read_bytes()
    server.files["s.gguf"] = data
    count, right = run("""
        checkpoint = await open_checkpoint(base + "files/s.gguf")
        crc = 0
        for tensor in checkpoint.tensors.values():
            chunk = await tensor.source.read_chunk(tensor.offset, tensor.nbytes)
            crc = zlib.crc32(chunk.to_bytes(), crc)
        await checkpoint.close()
        [len(checkpoint.tensors), crc]
        """)
    assert (count, right) == (48, zlib.crc32(data[14176:]))
    assert server.requests == [("/files/s.gguf", "bytes=0-")]


def test_addresses_relative_to_the_page(run: Run, shared: Path) -> None:
    names = run("""
        names = []
        for source in (
            "/shared/checkpoints/stories260K/stories260K.gguf",
            js.URL.new("/shared/checkpoints/stories260K/stories260K.gguf", js.location.href),
            "/shared/checkpoints/TinyStories-656K/",
            "shared/checkpoints/TinyStories-656K",
        ):
            checkpoint = await open_checkpoint(source)
            names.append([checkpoint.name, len(checkpoint.tensors)])
            await checkpoint.close()
        names
        """)
    assert names == [["llama", 48]] * 2 + [["TinyStories-656K", 20]] * 2


def test_picked_file(run: Run, selenium: Any, shared: Path) -> None:
    pick(selenium, shared / "checkpoints/stories260K/stories260K.gguf")
    result = run("""
        file = js.document.getElementById("picker").files.item(0)
        checkpoint = await open_checkpoint(file)
        tensor = checkpoint.tensors["output_norm.weight"]
        chunk = await tensor.source.read_chunk(tensor.offset, tensor.nbytes)
        after = await failure(tensor.source.read(2_000_000, 1))
        await checkpoint.close()
        [chunk.constructor.name, zlib.crc32(chunk.to_bytes()), after[1]]
        """)
    assert result[:2] == ["Uint8Array", 3568002521]
    assert "stories260K.gguf ends at byte 1185376" in result[2]


def test_picked_file_that_changes_on_disk(run: Run, selenium: Any, tmp_path: Path) -> None:
    path = tmp_path / "short-lived.gguf"
    path.write_bytes(bytes(1000))
    pick(selenium, path)
    assert run("""
        picked = await resolve(js.document.getElementById("picker").files.item(0))
        await picked.size()
        """) == 1000  # fmt: skip
    path.write_bytes(bytes(500))
    name, text, _, _ = run("await failure(picked.read(0, 900))")
    assert name == "SourceError"
    assert "short-lived.gguf changed or went away since it was picked: pick it again" in text


def test_picked_mlc_folder(run: Run, selenium: Any, tmp_path: Path) -> None:
    """Its shards are verified, of which a part at a time comes to Python."""
    data = random.Random(3).randbytes(3_000_000)
    record = {"name": "a.weight", "shape": [1500, 1000], "dtype": "float16", "byteOffset": 0}
    shard = {"dataPath": "params_shard_0.bin", "nbytes": len(data), "md5sum": md5(data).hexdigest()}
    index = {"records": [{**shard, "records": [{**record, "nbytes": len(data)}]}]}
    config = {"model_type": "llama", "quantization": "q0f16", "model_config": {}}
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "mlc-chat-config.json").write_text(json.dumps(config))
    (folder / "ndarray-cache.json").write_text(json.dumps(index))
    results = []
    for damage in (b"", b"!"):
        (folder / "params_shard_0.bin").write_bytes(data[: len(data) - len(damage)] + damage)
        pick(selenium, folder, folder=True)
        results.append(
            run("""
                files = js.document.getElementById("picker").files
                checkpoint = await open_checkpoint(files)
                tensor = checkpoint.tensors["a.weight"]
                chunk = await tensor.source.read_chunk(70, 1_100_000)
                checked = await failure(checkpoint.verify())
                await checkpoint.close()
                [checkpoint.kind, chunk.constructor.name, chunk.length, *checked[:2]]
                """)
        )
    assert results[0] == ["mlc", "Uint8Array", 1_100_000, "no error", ""]
    assert results[1][3] == "CorruptCheckpointError"
    assert "tiny/params_shard_0.bin is damaged: its MD5 is" in results[1][4]


@pytest.mark.parametrize("form", ["files", "js.Array.from_(files)", "list(files)"])
def test_picked_folder(run: Run, selenium: Any, shared: Path, form: str) -> None:
    pick(selenium, shared / "checkpoints/TinyStories-656K", folder=True)
    name, kind, count, files = run(f"""
        files = js.document.getElementById("picker").files
        checkpoint = await open_checkpoint({form})
        await checkpoint.close()
        [checkpoint.name, checkpoint.kind, len(checkpoint.tensors), sorted(checkpoint.files)]
        """)
    assert (name, kind, count) == ("TinyStories-656K", "huggingface", 20)
    assert "tokenizer.json" in files


def test_directory_handle(run: Run, shared: Path) -> None:
    """A folder of the origin-private file system has the same interface as a picked one."""
    counts, nested, exists, missing, head, listed = run("""
        root = await js.navigator.storage.getDirectory()
        create = to_js({"create": True}, dict_converter=js.Object.fromEntries)
        folder = await root.getDirectoryHandle("tiny", create)
        sub = await folder.getDirectoryHandle("sub", create)

        async def write(folder, name, blob):
            stream = await (await folder.getFileHandle(name, create)).createWritable()
            await stream.write(blob)
            await stream.close()

        for name in ("config.json", "model.safetensors"):
            answer = await js.fetch("/shared/checkpoints/TinyStories-656K/" + name)
            await write(folder, name, await answer.blob())
        await write(sub, "a.txt", "abc")
        checkpoint = await open_checkpoint(folder)
        await checkpoint.close()
        source = await resolve(folder)
        nested = await (await source.open("sub/a.txt")).read_all(10)
        names = ("sub", "other", "sub/b", "..", "config.json")
        exists = [await source.exists(name) for name in names]
        missing = await failure(source.open("other"))
        file = await resolve(await folder.getFileHandle("config.json"))
        head = (await file.read(0, 1)).decode()
        counts = [checkpoint.name, len(checkpoint.tensors)]
        [counts, nested.decode(), exists, missing[:2], head, await source.list()]
        """)
    assert (counts, nested, head) == (["tiny", 20], "abc", "{")
    assert exists == [False, False, False, False, True]
    assert missing == ["MissingFileError", "tiny holds no other"]
    assert listed == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    "source", ["js.Object.new()", "to_js([1, 2])", "js.document", "[js.Object.new()]"]
)
def test_other_objects(run: Run, source: str) -> None:
    name, text, _, _ = run(f"await failure(resolve({source}))")
    assert name == "SourceError" and "directory handle" in text


def pick(selenium: Any, path: Path, *, folder: bool = False) -> None:
    """Choose a file or folder in a file input, as a user does."""
    selenium.run_js(f"""
        document.getElementById("picker")?.remove();
        const picker = document.createElement("input");
        picker.type = "file";
        picker.id = "picker";
        picker.webkitdirectory = {json.dumps(folder)};
        document.body.append(picker);
        """)
    selenium.driver.find_element("id", "picker").send_keys(str(path))
    # A folder is walked in the background.
    picked = 'return document.getElementById("picker").files.length'
    WebDriverWait(selenium.driver, 30).until(lambda driver: driver.execute_script(picked))
