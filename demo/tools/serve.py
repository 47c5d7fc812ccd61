"""A small static server: right media types, byte ranges, revalidated caching, no isolation headers.

Any origin may read what it serves: the site is public, and notebooks install the wheel from it.

Cross-origin isolation (COOP/COEP) is left out on purpose: nothing here needs shared memory, and
JupyterLite's kernels are less steady with it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

__all__ = ["LAST_PORT", "SiteHandler", "SiteServer", "main", "port_number"]

LAST_PORT = 65535

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class SiteHandler(SimpleHTTPRequestHandler):
    """Serves one folder; browsers ask again whether a file has changed before they reuse it."""

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012 - the base class declares it this way
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".whl": "application/zip",
        ".gguf": "application/octet-stream",
        ".gz": "application/gzip",
        ".ipynb": "application/json",
        ".svg": "image/svg+xml",
    }
    _remaining: int | None = None

    def send_head(self) -> Any:
        """As the base class, and a single byte range of a file."""
        self._remaining = None
        wanted = _RANGE.match(self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not wanted or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        span = _span(wanted, size)
        if span is None:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        start, stop = span
        file = path.open("rb")
        file.seek(start)
        self._remaining = stop - start
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        return file

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send the file, or only the range that was asked for."""
        # A reader that goes away in the middle of a file (a cancelled download) is no error.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self._remaining is None:
                shutil.copyfileobj(source, outputfile, 1 << 20)
            else:
                _copy(source, outputfile, self._remaining)

    def end_headers(self) -> None:
        """Every answer may be kept, but is checked for changes before it is used again."""
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a page load is fifteen requests."""


class SiteServer(ThreadingHTTPServer):
    """Serves ``folder`` on loopback; ``port=0`` takes any free port."""

    daemon_threads = True

    def __init__(
        self, folder: Path, port: int = 0, handler: type[SimpleHTTPRequestHandler] = SiteHandler
    ) -> None:
        super().__init__(("127.0.0.1", port), partial(handler, directory=os.fspath(folder)))

    @property
    def url(self) -> str:
        """Where the site is."""
        return f"http://localhost:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection early is no error worth a traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _span(wanted: re.Match[str], size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, or None if the file has no such bytes."""
    first, last = wanted.groups()
    if first:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
    elif last:
        start, stop = max(0, size - int(last)), size
    else:
        return None
    return (start, stop) if start < stop else None


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    while length:
        chunk = source.read(min(length, 1 << 20))
        if not chunk:
            return
        target.write(chunk)
        length -= len(chunk)


def port_number(text: str) -> int:
    """A port given on a command line; 0 is any free one."""
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {LAST_PORT}, not {text!r}")
    return int(text)


def main() -> None:
    """``python demo/tools/serve.py [FOLDER] [PORT]``: serve a built site again without building."""
    parser = argparse.ArgumentParser(description="Serve a built site again without building it.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo/dist"))
    parser.add_argument("port", nargs="?", type=port_number, default=8000)
    arguments = parser.parse_args()
    folder, port = arguments.folder, arguments.port
    if not folder.is_dir():
        sys.exit(f"There is no folder {folder}. `python build.py demo` makes demo/dist.")
    try:
        server = SiteServer(folder, port)
    except OSError as error:
        sys.exit(f"Port {port} cannot be used ({error.strerror}). Give another one: FOLDER PORT.")
    with server:
        print(f"Serving {folder} at {server.url} (Ctrl+C stops)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
