"""HttpFile and HttpFolder against a server that works and one that fails in every known way."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from range_server import FILE, SMALL, RangeServer, running_server

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.http.native import HttpFile
from webllm_py.fetch.http.url import HttpFolder

Open = Callable[..., HttpFile]


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with running_server() as server:
        yield server


@pytest.fixture
async def open_file(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = []

    def open_file(path: str, timeout: float = 5.0) -> HttpFile:
        files.append(HttpFile(server.url(path), timeout=timeout))
        return files[-1]

    yield open_file
    for file in files:
        await file.close()


# What works


@pytest.mark.parametrize("kind", ["range", "plain", "capped", "chunked"])
async def test_reads_anywhere(open_file: Open, kind: str) -> None:
    file = open_file(f"{kind}/f.gguf")
    assert await file.size() == (None if kind == "chunked" else len(FILE))
    for offset, length in [(0, 10), (10, 90_000), (100_000, 0), (400_000, 7), (50, 200_000)]:
        assert await file.read(offset, length) == FILE[offset : offset + length]
    chunk = await file.read_chunk(2_500_000, 500_000)
    assert bytes(chunk) == FILE[2_500_000:]


@pytest.mark.parametrize("kind", ["range", "plain", "capped", "chunked"])
async def test_reads_whole_file_within_limit(open_file: Open, kind: str) -> None:
    assert await open_file(f"{kind}/f").read_all(len(FILE)) == FILE
    with pytest.raises(SourceError, match="more than the 2999999 bytes"):
        await open_file(f"{kind}/f").read_all(len(FILE) - 1)


async def test_sequential_reads_take_one_request(server: RangeServer, open_file: Open) -> None:
    file = open_file("range/f.gguf")
    await file.size()
    for offset in range(0, len(FILE), 100_000):
        await file.read_chunk(offset, 90_000)  # the gaps of 10,000 are skipped in the reply
    assert server.requests == [("/range/f.gguf", "bytes=0-")]


async def test_jumps_ask_for_a_range_where_there_are_ranges(
    server: RangeServer, open_file: Open
) -> None:
    file = open_file("range/f.gguf")
    await file.read(100, 10)
    await file.read(2_000_000, 10)
    await file.read(5, 10)
    assert [asked for _, asked in server.requests] == ["bytes=100-", "bytes=2000000-", "bytes=5-"]


async def test_without_ranges_jumps_read_on_from_one_reply(
    server: RangeServer, open_file: Open
) -> None:
    file = open_file("plain/f.gguf")
    await file.read(100, 10)
    assert await file.read(2_000_000, 10) == FILE[2_000_000:2_000_010]
    assert len(server.requests) == 1
    assert await file.read(5, 10) == FILE[5:15]  # backwards: from the start again
    assert len(server.requests) == 2


async def test_connection_is_kept_after_a_whole_reply(server: RangeServer, open_file: Open) -> None:
    file = open_file("range/f.gguf")
    for _ in range(3):
        await file.read(len(FILE) - 1000, 1000)
    assert (len(server.requests), server.connections) == (3, 1)


async def test_pause_lets_the_reply_go_and_reading_goes_on(
    server: RangeServer, open_file: Open
) -> None:
    file = open_file("range/f.gguf")
    await file.read(0, 8)
    await file.pause()
    assert await file.read(8, 8) == FILE[8:16]
    assert server.requests[-1] == ("/range/f.gguf", "bytes=8-")


async def test_follows_redirects(server: RangeServer, open_file: Open) -> None:
    file = open_file("redirect")
    assert await file.read(7, 5) == FILE[7:12]
    assert [path for path, _ in server.requests] == ["/redirect", "/hop", "/range/f.gguf"]
    assert server.connections == 1


async def test_reading_up_to_and_past_the_end(open_file: Open) -> None:
    for kind in ("range", "plain", "chunked"):
        file = open_file(f"{kind}/f")
        assert await file.read(len(FILE) - 3, 3) == FILE[-3:]
        with pytest.raises(SourceError, match="ends at byte 3000000, but bytes 2999999 to 3000001"):
            await file.read(len(FILE) - 1, 2)
        with pytest.raises(SourceError, match="ends at byte 3000000"):
            await file.read(len(FILE) + 5_000_000, 1)


async def test_absurd_lengths_are_refused_before_memory_is_taken(open_file: Open) -> None:
    with pytest.raises(SourceError, match="ends at byte 3000000"):
        await open_file("range/f").read(0, 1 << 60)


async def test_empty_file(open_file: Open) -> None:
    file = open_file("empty")
    assert await file.size() == 0
    assert await file.read_all(10) == b""
    with pytest.raises(SourceError, match="ends at byte 0"):
        await file.read(0, 1)


async def test_concurrent_reads_do_not_mix(open_file: Open) -> None:
    file = open_file("range/f")
    offsets = [2_000_000, 10, 1_999_000, 500, 2_900_000]
    parts = await asyncio.gather(*(file.read(offset, 50_000) for offset in offsets))
    assert parts == [FILE[offset : offset + 50_000] for offset in offsets]


async def test_goes_through_the_proxy_of_the_environment(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "localhost")
    file = HttpFile("http://models.invalid/range/f.gguf?x=1")
    assert await file.read(1, 5) == FILE[1:6]
    await file.close()
    assert server.requests == [("http://models.invalid/range/f.gguf?x=1", "bytes=1-")]


async def test_https_goes_through_a_tunnel_with_the_proxys_login(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = server.url("").removesuffix("/").replace("http://", "http://me:p%40ss@")
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", "localhost")
    file = HttpFile("https://models.invalid/f.gguf")
    with pytest.raises(SourceError, match=r"no connection \(Tunnel connection failed: 502"):
        await file.size()
    await file.close()
    login = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert server.requests == [("models.invalid:443", login)]


# What fails


@pytest.mark.parametrize(
    ("path", "message", "status"),
    [
        ("nothing.gguf", "404 Not Found. There is no such file", 404),
        ("gated/f", "403 Forbidden. Access is refused", 403),
        ("fault/f", "500 .* try again later", 500),
        ("busy/f", "429 .* wait a minute", 429),
        ("html/f.gguf", "answered with a web page", 200),
        ("loop", "more than 10 redirects", None),
        ("elsewhere", "refused to follow a redirect to file:///etc/passwd", None),
        ("wrongstart/f", r"asked for the bytes from 5 on, the server sent 'bytes 6-", None),
        ("norange/f", "asked for the bytes from 5 on, the server sent ''", None),
        ("contradiction/f", "the server contradicts itself: 5 bytes for 'bytes 5-", None),
        ("gzip/f", "sends the file compressed", None),
        ("garbage", "no connection .*what", None),
    ],
)
async def test_bad_replies(
    server: RangeServer, open_file: Open, path: str, message: str, status: int | None
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        await open_file(path).read(5, 10)
    assert str(caught.value).startswith(server.url(path.partition("?")[0]))
    assert caught.value.status == status


async def test_cut_connection_says_where_and_reading_can_go_on(open_file: Open) -> None:
    file = open_file("cut/f")
    with pytest.raises(SourceError, match="the connection was cut at byte 1000000 of 3000000"):
        await file.read(0, 2_000_000)
    assert await file.read(999_000, 1000) == FILE[999_000:1_000_000]


async def test_cut_chunked_reply(open_file: Open) -> None:
    with pytest.raises(SourceError, match="the connection was cut at byte"):
        await open_file("cutchunks/f").read(0, 100)


async def test_a_reply_longer_than_announced_ends_where_announced(open_file: Open) -> None:
    file = open_file("long/f")
    assert await file.size() == 1000
    assert await file.read(0, 1000) == FILE[:1000]
    assert await file.read(0, 1000) == FILE[:1000]  # not what was left of the reply before
    with pytest.raises(SourceError, match="ends at byte 1000"):
        await file.read(0, 1001)


@pytest.mark.parametrize(
    ("path", "message"),
    [("stall/f", "no byte came for 0.3 s at byte 1000"), ("silent/f", "no answer for 0.3 s")],
)
async def test_stalled_server_is_named_after_the_timeout(
    open_file: Open, path: str, message: str
) -> None:
    file = open_file(path, timeout=0.3)
    begun = time.monotonic()
    with pytest.raises(SourceError, match=message):
        await file.size()
        await file.read(0, 1000)
        await file.read(1000, 1000)
    assert 0.25 < time.monotonic() - begun < 20


@pytest.mark.parametrize("kind", ["changing", "growing"])
async def test_file_that_changes_between_ranges(open_file: Open, kind: str) -> None:
    file = open_file(f"{kind}/f")
    await file.read(0, 10)
    with pytest.raises(SourceError, match="changed while it was read"):
        await file.read(2_000_000, 10)


@pytest.mark.parametrize("path", ["stall/f", "silent/f"])
async def test_cancelled_read_ends_at_once_and_the_file_stays_usable(
    server: RangeServer, open_file: Open, path: str
) -> None:
    file = open_file(path, timeout=30)
    task = asyncio.create_task(file.read(0, 5000))
    await server.asked()
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 15
    if path == "stall/f":
        assert await file.read(0, 1000) == FILE[:1000]


async def test_close_cuts_a_read_in_progress(server: RangeServer, open_file: Open) -> None:
    file = open_file("stall/f", timeout=30)
    task = asyncio.create_task(file.read(0, 5000))
    await server.asked()
    begun = time.monotonic()
    await file.close()
    with pytest.raises(SourceError, match="cancelled"):
        await task
    assert time.monotonic() - begun < 15
    with pytest.raises(SourceError, match="was closed"):
        await file.read(0, 1)


async def test_a_server_that_closes_idle_connections_is_asked_again() -> None:
    """The kept connection is dead when it is used again: that must not fail the read."""
    replies = [b"HTTP/1.1 206 x\r\nContent-Length: 1\r\nContent-Range: bytes %d-%d/2\r\n\r\n" %
               (i, i) + b"ab"[i : i + 1] for i in range(2)]  # fmt: skip

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies.pop(0))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        file = HttpFile(f"http://127.0.0.1:{port}/f")
        assert await file.read(0, 1) == b"a"
        await asyncio.sleep(0.05)
        assert await file.read(1, 1) == b"b"
        await file.close()


async def test_no_server() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    file = HttpFile(f"http://127.0.0.1:{port}/f")
    with pytest.raises(SourceError, match=r"no connection .*refused"):
        await file.size()
    await file.close()


async def test_no_tls(server: RangeServer) -> None:
    file = HttpFile(server.url("range/f").replace("http:", "https:"))
    with pytest.raises(SourceError, match=r"no connection .*SSL"):
        await file.size()
    await file.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://[::1", "not a valid address"),
        ("http://a\x00b/", "no connection|host name|control characters"),
        ("http://host:port/f", "Port could not be cast"),
        ("http://user:secret@host/f", "user name in an address"),
        ("http://nothing.invalid/f", "the host name is not known"),
        ("ftp://host/f", "not an http:// or https://"),
        ("http:///f", "not an http:// or https://"),
        ("http://" + "x" * 80 + ".example/f", "not a valid|host name|no connection"),
    ],
)
async def test_bad_addresses(url: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    file = HttpFile(url, timeout=20)
    with pytest.raises(SourceError, match=message) as caught:
        await file.size()
    assert "secret" not in str(caught.value)
    await file.close()


# Folders


@pytest.fixture
def folder(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> HttpFolder:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return HttpFolder(server.url("folder/?sig=1"), HttpFile)


async def test_folder_opens_files(server: RangeServer, folder: HttpFolder) -> None:
    file = await folder.open("config.json")
    assert await file.read_all(100) == SMALL
    await file.close()
    file = await folder.open("sub/my file.bin")
    assert await file.read_all(100) == b"abc"
    await file.close()
    assert [path for path, _ in server.requests] == [
        "/folder/config.json?sig=1",
        "/folder/sub/my%20file.bin?sig=1",
    ]
    assert await folder.list() is None


async def test_folder_tells_missing_files_from_failures(folder: HttpFolder) -> None:
    with pytest.raises(SourceError, match="403"):  # the whole folder may be gated
        await folder.open("refused.json")
    assert await folder.exists("config.json")
    for name in ("other.json", "page.json", "refused.json"):
        assert not await folder.exists(name)
        with pytest.raises(MissingFileError, match=f"holds no {name}"):
            await folder.open(name)
    with pytest.raises(SourceError, match="503"):
        await folder.exists("broken.json")


async def test_folder_listing(server: RangeServer) -> None:
    url = server.url("folder/")
    assert await HttpFolder(url, HttpFile, server.url("listing")).list() == ["a.json", "b.gguf"]
    for bad in ("nowhere", "folder/config.json", "range/f"):
        assert await HttpFolder(url, HttpFile, server.url(bad)).list() is None
