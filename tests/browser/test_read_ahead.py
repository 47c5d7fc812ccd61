"""What comes to the browser while Python computes: a worker of its own reads on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served import ROOT, run_python

sys.path.insert(0, str(ROOT / "tests" / "unit" / "fetch"))

from range_server import RangeServer, running_server

from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

PRELUDE = """
    import asyncio, json, random, time
    import js
    from pyodide.code import run_js
    from webllm_py.errors import WebLLMError
    from webllm_py.fetch.http.browser import FetchFile

    FILE = random.Random(7).randbytes(3_000_000)
    MIB = 1 << 20
    run_js('''
        globalThis.workers = [];
        const Plain = Worker;
        globalThis.Worker = class extends Plain {
          constructor(...args) { super(...args); this.over = false; workers.push(this); }
          terminate() { this.over = true; super.terminate(); }
        };
        undefined;
    ''')

    async def opened(kind, **options):
        '''A large file whose header was read, and whose worker has begun.'''
        js.workers.length = 0
        file = FetchFile(base + kind + "/f.gguf", **options)
        for offset in (0, 1_000_000):  # as headers are read
            await file.read(offset, 16)
        await asyncio.sleep(0.3)
        return file

    def expect(file, ranges):
        for offset, length in ranges:
            file.expect(offset, length)

    async def right(file, offset, length):
        chunk = await file.read_chunk(offset, length)
        at = offset % len(FILE)
        found = chunk.to_bytes() == (FILE * (length // len(FILE) + 2))[at : at + length]
        file.release(chunk)
        return found

    def workers():
        '''Those that were made, and those of them that are there.'''
        all = list(js.workers)
        return [len(all), sum(not worker.over for worker in all)]

    async def failure(awaitable):
        try:
            await awaitable
        except WebLLMError as error:
            return [type(error).__name__, str(error)]
        return ["no error", ""]

    def parts(count, nbytes):
        return [(5 + i * nbytes, nbytes) for i in range(count)]
"""

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[RangeServer]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def no_page_left(python: Any) -> Iterator[None]:
    """Other modules have the browser's own Worker, and no policy."""
    yield
    python.driver.get("about:blank")


@pytest.fixture
def run(selenium: Any, server: RangeServer) -> Run:
    """Runs Python in the page, with ``base`` the address of the server; the last line's value."""

    def run(code: str, **names: object) -> Any:
        server.requests.clear()
        server.sent.clear()
        return run_python(selenium, code, {"base": server.url("")} | names)

    return run


@pytest.mark.parametrize("ahead", [True, False])
def test_bytes_come_while_python_computes(run: Run, server: RangeServer, ahead: bool) -> None:
    for seconds in (1, 5, 25) if ahead else (1,):  # a busy machine may need more
        begun, ended, right = run(
            """
            file = await opened("large")
            ranges = parts(5, 8 * MIB)
            expect(file, ranges if ahead else [])
            begun = time.time()
            while time.time() < begun + seconds:
                pass
            ended = time.time()
            found = [await right(file, *place) for place in ranges]
            await file.close()
            [begun, ended, all(found)]
            """,
            ahead=ahead,
            seconds=seconds,
        )
        assert right
        came = sum(count for at, count in server.sent if begun < at < ended)
        if came > 36 << 20:
            break
    assert came > 36 << 20 if ahead else came < 16 << 20


def test_any_ranges_in_any_order(run: Run, server: RangeServer) -> None:
    found, made = run("""
        file = await opened("large")
        ranges = [(64, 1000), (70_000, 3_000_001), (70_000, 3_000_001), (9_000_000, 10 * MIB)]
        expect(file, ranges)
        found = [await right(file, *place) for place in ranges[:2]]
        found.append(await right(file, 30_000_000, 100))  # that nobody expected
        expect(file, [(44_000_000, 4_000_000), (100, 50)])
        found.append(await right(file, *ranges[3]))  # and one is left out
        found.append(await right(file, 44_000_000, 4_000_000))
        found.append(await right(file, 100, 50))
        made = workers()
        expect(file, [(47_999_000, 1000)])
        found.append(await right(file, 47_999_000, 1000))
        await file.close()
        [found, [made, workers()]]
        """)
    assert found == [True] * 7
    assert made == [[1, 0], [2, 0]]  # it is let go once nothing is expected


def test_one_request_for_all_that_lies_together(run: Run, server: RangeServer) -> None:
    run("""
        file = await opened("large")
        ranges = parts(5, MIB)
        expect(file, ranges)
        for place in ranges:
            await right(file, *place)
        await file.close()
        None
        """)
    assert [asked for _, asked in server.requests] == ["bytes=0-", "bytes=5-"]


@pytest.mark.parametrize("end", ["task.cancel()", "await file.close()"])
def test_the_worker_ends_with_its_load(run: Run, end: str) -> None:
    before, after, done = run(f"""
        file = await opened("largestall")
        ranges = parts(4, 8 * MIB)
        expect(file, ranges)
        await right(file, *ranges[0])
        task = asyncio.create_task(file.read_chunk(*ranges[1]))
        await asyncio.sleep(0.2)
        before = workers()
        {end}
        await asyncio.wait([task], timeout=60)
        after = workers()
        await file.close()
        [before, after, task.done()]
        """)
    assert (before, after, done) == ([1, 1], [1, 0], True)


def test_a_pause_ends_a_worker_that_reads(run: Run) -> None:
    """And not one that waits; what was expected is read all the same."""
    assert run("""
        file = await opened("large")
        await file.pause()
        waits = workers()
        expect(file, parts(4, 8 * MIB))
        await file.pause()
        read = workers()
        found = [await right(file, *place) for place in parts(4, 8 * MIB)]
        await file.close()
        [waits, read, found]
        """) == [[1, 1], [1, 0], [True] * 4]  # fmt: skip


def test_many_files_have_few_workers(run: Run) -> None:
    assert run("""
        js.workers.length = 0
        files = [FetchFile(base + f"large/{i}") for i in range(6)]
        found = []
        for file in files:
            await file.read(0, 16)
            await file.pause()
        before = workers()
        for file in files:
            expect(file, parts(1, MIB))
            found.append(await right(file, *parts(1, MIB)[0]))
        after = workers()
        for file in files:
            await file.close()
        [before, after, found]
        """) == [[4, 4], [6, 0], [True] * 6]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("largecut", "SourceError", "the connection failed (network error) at byte "),
        ("largestall", "SourceError", "brought no byte for 1 s at byte 12000005 of 48000000"),
        ("largechanging", "ChangedFileError", "changed while it was read"),
        ("largeonce", "SourceError", "403 Forbidden"),
    ],
)
def test_failures_keep_their_names(run: Run, kind: str, error: str, message: str) -> None:
    failed, again = run(
        """
        file = await opened(kind, timeout=1 if kind == "largestall" else 60)
        ranges = parts(3, 8 * MIB)
        expect(file, ranges)
        failed = ["no error", ""]
        for place in ranges:
            if failed[0] == "no error":
                failed = await failure(file.read_chunk(*place))
        again = kind == "largecut" and await right(file, *ranges[1])
        await file.close()
        [failed, [again, workers()[1]]]
        """,
        kind=kind,
    )
    assert failed[0] == error and message in failed[1], failed
    assert again == [kind == "largecut", 0]  # who tries again has it


def test_small_files_and_servers_without_ranges_have_no_worker(run: Run) -> None:
    assert run("""
        made = []
        for kind in ("range", "plain", "chunked"):
            file = await opened(kind)
            expect(file, [(16, 1_000_000)])
            made.append([await right(file, 16, 1_000_000), *workers()])
            await file.close()
        made
        """) == [[True, 0, 0]] * 3  # fmt: skip


def test_a_worker_that_does_not_begin_is_not_waited_for(run: Run) -> None:
    assert run("""
        run_js("globalThis.Kept = Blob; Blob = function () { return new Kept(['for (;;);']); }; 0")
        file = await opened("large")
        run_js("Blob = Kept; 0")
        expect(file, [(16, MIB)])
        found = await right(file, 16, MIB)
        await file.close()
        [found, *workers()]
        """) == [True, 1, 0]  # fmt: skip


def test_a_load_that_is_cancelled_leaves_no_worker(
    run: Run, server: RangeServer, tmp_path: Path
) -> None:
    model = tmp_path / "tiny.gguf"
    write_random_model(model, "tiny", SHAPES["tiny"], "q4_0")
    server.files["tiny.gguf"] = model.read_bytes() + bytes(17_000_000)  # a large file
    cancelled, left = run("""
        import webllm_py

        def cancel(progress):
            if progress.stage == "weights":  # kernels compile for longer than the worker begins
                asyncio.get_running_loop().call_later(0.3, task.cancel)

        js.workers.length = 0
        options = webllm_py.FetchOptions(keep=False)
        url = base + "files/tiny.gguf"
        task = asyncio.create_task(webllm_py.load(url, fetch=options, on_progress=cancel))
        await asyncio.wait([task])
        [task.cancelled(), workers()]
        """)
    assert (cancelled, left) == (True, [1, 0])
    assert len(server.requests) == 2  # for the header, and for the worker's bytes


def test_a_page_whose_policy_forbids_the_worker_reads_as_well(run: Run) -> None:
    """The last test: the policy stays."""
    assert run("""
        meta = js.document.createElement("meta")
        meta.httpEquiv = "Content-Security-Policy"
        meta.content = "worker-src 'self'"
        js.document.head.append(meta)
        found = []
        for _ in range(2):
            file = await opened("large")
            expect(file, parts(2, MIB))
            found += [await right(file, *place) for place in parts(2, MIB)]
            found.append(workers()[1])
            await file.close()
        found
        """) == [True, True, 0] * 2  # fmt: skip
