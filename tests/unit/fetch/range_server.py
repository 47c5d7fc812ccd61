"""A local HTTP server that serves one file well, and in each of the ways in which servers fail."""

from __future__ import annotations

import asyncio
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FILE = random.Random(7).randbytes(3_000_000)
LARGE_BYTES = 16 * len(FILE)  # FILE again and again
SMALL = b'{"a": 1}'


class RangeServer(ThreadingHTTPServer):
    """``requests`` lists (path, Range header) in order; ``connections`` counts sockets.

    Of ``files`` each is served well, with ranges, below ``files/``. Pages of other origins may read
    all but what lies below ``private/``, and see all headers but below ``range/``. ``sent`` lists
    when bytes of a large file went out, and how many.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self.connections = 0
        self.files: dict[str, bytes] = {}
        self.sent: list[tuple[float, int]] = []
        self.released = threading.Event()
        self.first_request = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that hangs up: that is what is tested."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    async def asked(self) -> None:
        """Wait for the first request."""
        await asyncio.to_thread(self.first_request.wait, 10)


@contextmanager
def running_server() -> Iterator[RangeServer]:
    server = RangeServer()
    with running(server, server.released):
        yield server


@contextmanager
def running(server: ThreadingHTTPServer, released: threading.Event) -> Iterator[None]:
    """Serve in a thread; in the end, what waits for ``released`` goes on."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.requests.append((self.path, asked))
        self.server.first_request.set()
        kind = urlsplit(self.path).path.strip("/").partition("/")[0]
        try:
            getattr(self, f"serve_{kind}", self.serve_missing)(self.first_byte(asked))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_CONNECT(self) -> None:
        self.server.requests.append((self.path, self.headers["Proxy-Authorization"]))
        self.reply(502, {"Content-Length": 0})

    def first_byte(self, asked: str | None) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        return int(match[1]) if match else 0

    def end_headers(self) -> None:
        if not self.path.startswith("/private/"):
            self.send_header("Access-Control-Allow-Origin", "*")
        if not self.path.startswith("/range/"):
            self.send_header("Access-Control-Expose-Headers", "Content-Range, ETag")
        super().end_headers()

    def reply(self, status: int, headers: dict[str, object], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def status(self, status: int) -> None:
        self.reply(status, {"Content-Length": 4}, b"none")

    def part(self, start: int, end: int, file: bytes = FILE, **headers: object) -> None:
        told = {
            "Content-Length": end - start,
            "Content-Range": f"bytes {start}-{end - 1}/{len(file)}",
        }
        self.reply(206, told | headers, file[start:end])

    # Servers that work

    def serve_range(self, start: int) -> None:
        if start >= len(FILE):
            self.reply(416, {"Content-Range": f"bytes */{len(FILE)}", "Content-Length": 0})
        else:
            self.part(start, len(FILE))

    def serve_files(self, start: int) -> None:
        file = self.server.files.get(urlsplit(self.path).path.removeprefix("/files/"))
        if file is None:
            self.status(404)
        else:
            self.part(start, len(file), file)

    def serve_large(self, start: int) -> None:
        self.large(start, LARGE_BYTES)

    def large(self, start: int, end: int, **headers: object) -> None:
        """A file that is too large for the buffers on the way, as far as ``end``."""
        told = {
            "Content-Length": LARGE_BYTES - start,
            "Content-Range": f"bytes {start}-{LARGE_BYTES - 1}/{LARGE_BYTES}",
        }
        self.reply(206, told | headers)
        while start < end:
            at = start % len(FILE)
            block = FILE[at : min(at + (1 << 16), at + end - start)]
            self.wfile.write(block)
            self.server.sent.append((time.time(), len(block)))
            start += len(block)

    def serve_private(self, start: int) -> None:
        self.serve_range(start)

    def serve_plain(self, start: int) -> None:
        self.reply(200, {"Content-Length": len(FILE)}, FILE)

    def serve_capped(self, start: int) -> None:
        self.part(start, min(start + 100_000, len(FILE)))

    def serve_chunked(self, start: int) -> None:
        self.reply(200, {"Transfer-Encoding": "chunked"})
        for at in range(0, len(FILE), 50_000):
            block = FILE[at : at + 50_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        self.wfile.write(b"0\r\n\r\n")

    def serve_empty(self, start: int) -> None:
        self.reply(416, {"Content-Range": "bytes */0", "Content-Length": 0})

    def serve_redirect(self, start: int) -> None:
        self.reply(302, {"Location": "/hop", "Content-Length": 2}, b"ok")

    def serve_hop(self, start: int) -> None:
        self.reply(307, {"Location": self.server.url("range/f.gguf"), "Content-Length": 0})

    def serve_folder(self, start: int) -> None:
        name = urlsplit(self.path).path.partition("folder/")[2]
        match name:
            case "config.json":
                self.reply(200, {"Content-Length": len(SMALL)}, SMALL)
            case "sub/my%20file.bin":
                self.reply(200, {"Content-Length": 3}, b"abc")
            case "page.json":
                self.reply(200, {"Content-Type": "text/html", "Content-Length": 6}, b"<html>")
            case "refused.json":
                self.status(403)
            case "broken.json":
                self.status(503)
            case _:
                self.status(404)

    def serve_listing(self, start: int) -> None:
        body = b'{"siblings": [{"rfilename": "b.gguf"}, {"rfilename": "a.json"}]}'
        self.reply(200, {"Content-Length": len(body)}, body)

    # Servers that fail

    def serve_missing(self, start: int) -> None:
        self.status(404)

    def serve_gated(self, start: int) -> None:
        self.status(403)

    def serve_fault(self, start: int) -> None:
        self.status(500)

    def serve_busy(self, start: int) -> None:
        self.status(429)

    def serve_loop(self, start: int) -> None:
        self.reply(302, {"Location": "/loop", "Content-Length": 0})

    def serve_elsewhere(self, start: int) -> None:
        self.reply(302, {"Location": "file:///etc/passwd", "Content-Length": 0})

    def serve_cut(self, start: int) -> None:
        """The connection ends a million bytes into the file."""
        self.reply(
            206,
            {
                "Content-Length": len(FILE) - start,
                "Content-Range": f"bytes {start}-{len(FILE) - 1}/{len(FILE)}",
            },
            FILE[start:1_000_000],
        )
        self.close_connection = True

    def serve_largecut(self, start: int) -> None:
        """Each reply ends 12 million bytes behind its beginning."""
        self.large(start, start + 12_000_000)
        self.close_connection = True

    def serve_largestall(self, start: int) -> None:
        self.large(start, start + 12_000_000)
        self.server.released.wait(30)
        self.close_connection = True

    def serve_largechanging(self, start: int) -> None:
        self.large(start, LARGE_BYTES, ETag=f'"{len(self.server.requests)}"')

    def serve_largeonce(self, start: int) -> None:
        """Only the file's beginning can be had."""
        if start:
            self.status(403)
        else:
            self.large(start, LARGE_BYTES)

    def serve_cutchunks(self, start: int) -> None:
        self.reply(200, {"Transfer-Encoding": "chunked"}, b"64\r\n" + bytes(50))
        self.close_connection = True

    def serve_stall(self, start: int) -> None:
        """Nothing more comes after a thousand bytes, until the test ends."""
        self.reply(200, {"Content-Length": len(FILE)}, FILE[:1000])
        self.wfile.flush()
        self.server.released.wait(30)
        self.close_connection = True

    def serve_silent(self, start: int) -> None:
        """Not even a status line comes."""
        self.server.released.wait(30)
        self.close_connection = True

    def serve_long(self, start: int) -> None:
        """More bytes than announced; the rest must not be taken for the next reply."""
        self.reply(200, {"Content-Length": 1000}, FILE[:2000])

    def serve_wrongstart(self, start: int) -> None:
        self.part(start + 1, len(FILE))

    def serve_contradiction(self, start: int) -> None:
        self.part(start, len(FILE), **{"Content-Length": 5})

    def serve_norange(self, start: int) -> None:
        self.reply(206, {"Content-Length": len(FILE)}, FILE)

    def serve_changing(self, start: int) -> None:
        self.part(start, len(FILE), ETag=f'"{len(self.server.requests)}"')

    def serve_growing(self, start: int) -> None:
        size = len(FILE) + len(self.server.requests)
        self.part(start, len(FILE), **{"Content-Range": f"bytes {start}-{len(FILE) - 1}/{size}"})

    def serve_html(self, start: int) -> None:
        self.reply(
            200, {"Content-Type": "text/html; charset=utf-8", "Content-Length": 6}, b"<html>"
        )

    def serve_gzip(self, start: int) -> None:
        self.reply(200, {"Content-Encoding": "gzip", "Content-Length": 3}, b"abc")

    def serve_garbage(self, start: int) -> None:
        self.wfile.write(b"what?\r\n\r\n")
        self.close_connection = True
