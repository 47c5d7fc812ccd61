"""A local server that fails as real ones do, by chance and repeatably: each reply by a seed."""

from __future__ import annotations

import itertools
import random
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from range_server import RangeServer, running

PIECE = 1 << 14  # that a stalling server sends at once
FAULTS = ("cut", "stall", "length", "ignore", "busy", "unavailable", "refuse", "none")


class HostileServer(ThreadingHTTPServer):
    """Serves ``files`` by path. Every reply to come has the fault that ``fault(number)`` names.

    ``requests`` lists (path, Range header).
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.etags: dict[str, str] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.authorized: list[str | None] = []
        self.rate = 0.0  # of replies that have a fault
        self.faults: tuple[str, ...] = FAULTS
        self.random = random.Random(0)
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.ranges = True
        self.flips = 0  # replies in which a bit is wrong
        self.other: dict[str, bytes] = {}  # what "change" serves from then on
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def fault(self) -> str | None:
        """What is wrong with the next reply."""
        with self.lock:
            if self.random.random() >= self.rate:
                return None
            return self.random.choice(self.faults)

    handle_error = RangeServer.handle_error  # type: ignore[assignment]


@contextmanager
def hostile_server(files: dict[str, bytes]) -> Iterator[HostileServer]:
    server = HostileServer(files)
    with running(server, server.released):
        yield server


class StallingServer(HostileServer):
    """Sends ``most`` bytes, which ``sent`` counts; the next ones wait until ``released``."""

    def __init__(self, files: dict[str, bytes], most: int) -> None:
        super().__init__(files)
        self.RequestHandlerClass = StallingHandler
        self.most, self.sent = most, 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: HostileServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Expose-Headers", "Content-Range, ETag, Retry-After")
        super().end_headers()

    def do_GET(self) -> None:
        path = self.path.lstrip("/").partition("?")[0]
        self.server.requests.append((path, self.headers["Range"]))
        self.server.authorized.append(self.headers["Authorization"])
        file = self.server.files.get(path)
        try:
            if file is None:
                self.answer(404, {}, b"none")
            else:
                getattr(self, f"serve_{self.server.fault()}")(path, file)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def asked(self, file: bytes) -> tuple[int, int]:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "bytes=0-")
        assert match is not None
        end = min(len(file), int(match[2]) + 1) if match[2] else len(file)
        return int(match[1]), end

    def answer(self, status: int, headers: dict[str, Any], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def head(self, path: str, file: bytes, start: int, end: int) -> tuple[int, dict[str, Any]]:
        headers: dict[str, Any] = {}
        if path in self.server.etags:
            headers["ETag"] = self.server.etags[path]
        if not self.server.ranges:
            return 200, headers
        if start >= len(file):
            return 416, {"Content-Range": f"bytes */{len(file)}", "Content-Length": 0}
        return 206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(file)}"}

    def part(self, file: bytes) -> tuple[int, int]:
        return self.asked(file) if self.server.ranges else (0, len(file))

    def serve_None(self, path: str, file: bytes) -> None:  # noqa: N802
        start, end = self.part(file)
        body = file[start:end]
        with self.server.lock:
            if self.server.flips and body:
                self.server.flips -= 1
                wrong = bytearray(body)
                wrong[self.server.random.randrange(len(body))] ^= 4
                body = bytes(wrong)
        status, headers = self.head(path, file, start, end)
        self.answer(status, headers, body)

    def broken(self, path: str, file: bytes, *, stall: bool) -> None:
        start, end = self.part(file)
        status, headers = self.head(path, file, start, end)
        count = self.server.random.randrange(end - start + 1) if end > start else 0
        self.answer(status, headers | {"Content-Length": end - start}, file[start : start + count])
        if stall:
            self.server.released.wait(2)
        self.close_connection = True

    def serve_cut(self, path: str, file: bytes) -> None:
        self.broken(path, file, stall=False)

    def serve_stall(self, path: str, file: bytes) -> None:
        self.broken(path, file, stall=True)

    def serve_length(self, path: str, file: bytes) -> None:
        """A length that contradicts the range."""
        start, end = self.part(file)
        status, headers = self.head(path, file, start, end)
        self.answer(status, headers | {"Content-Length": end - start + 7}, file[start:end])
        self.close_connection = True

    def serve_ignore(self, path: str, file: bytes) -> None:
        """All of the file, whatever was asked for."""
        self.answer(200, {"Connection": "close"}, file)
        self.close_connection = True

    def serve_busy(self, path: str, file: bytes) -> None:
        self.answer(429, {"Retry-After": "0"}, b"busy")

    def serve_unavailable(self, path: str, file: bytes) -> None:
        self.answer(503, {}, b"none")

    def serve_refuse(self, path: str, file: bytes) -> None:
        """The connection ends without a reply."""
        self.close_connection = True

    def serve_untold(self, path: str, file: bytes) -> None:
        """All of it, without its length."""
        self.untold([file])

    def serve_endless(self, path: str, file: bytes) -> None:
        """Bytes for as long as somebody takes them."""
        self.untold(itertools.repeat(file))

    def untold(self, parts: Iterable[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def serve_flip(self, path: str, file: bytes) -> None:
        """A bit is wrong."""
        with self.server.lock:
            self.server.flips += 1
        self.serve_None(path, file)

    def serve_change(self, path: str, file: bytes) -> None:
        """From now on the file is another one."""
        other = self.server.other.get(path, file)
        self.server.files[path] = other
        self.server.etags[path] = f'"{hash(other)}"'
        self.serve_None(path, other)

    serve_none = serve_None


class StallingHandler(Handler):
    server: StallingServer

    def serve_None(self, path: str, file: bytes) -> None:  # noqa: N802
        start, end = self.part(file)
        status, headers = self.head(path, file, start, end)
        self.answer(status, headers | {"Content-Length": end - start}, b"")
        for at in range(start, end, PIECE):
            if self.server.sent >= self.server.most:
                self.server.released.wait(60)
            part = file[at : min(at + PIECE, end)]
            self.wfile.write(part)
            self.wfile.flush()
            self.server.sent += len(part)
