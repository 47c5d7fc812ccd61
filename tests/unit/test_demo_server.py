"""The demo's server: media types, byte ranges, revalidation; and what its command lines refuse."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools.serve import SiteServer  # noqa: E402

BODY = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    folder = tmp_path_factory.mktemp("site")
    for name in ("model.gguf", "a.mjs", "b.wasm", "c.whl", "d.py", "index.html"):
        (folder / name).write_bytes(BODY)
    with SiteServer(folder) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def get(server: SiteServer, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/a.mjs", "text/javascript"),
        ("/b.wasm", "application/wasm"),
        ("/c.whl", "application/zip"),
        ("/model.gguf", "application/octet-stream"),
        ("/", "text/html"),
    ],
)
def test_media_types(server: SiteServer, path: str, media_type: str) -> None:
    response, body = get(server, path)
    assert (response.status, body) == (200, BODY)
    assert response.headers["Content-Type"] == media_type


def test_no_isolation_and_always_revalidated(server: SiteServer) -> None:
    response, _ = get(server, "/")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert "Cross-Origin-Opener-Policy" not in response.headers
    assert "Cross-Origin-Embedder-Policy" not in response.headers
    again, body = get(server, "/", **{"If-Modified-Since": response.headers["Last-Modified"]})
    assert (again.status, body) == (304, b"")


def test_other_origins_may_read_everything(server: SiteServer) -> None:
    for path, headers in (("/c.whl", {}), ("/model.gguf", {"Range": "bytes=0-9"}), ("/none", {})):
        response, _ = get(server, path, **headers)
        assert response.headers.get_all("Access-Control-Allow-Origin") == ["*"]


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=10200-", 10200, 10240),
        ("bytes=10000-99999", 10000, 10240),
        ("bytes=-40", 10200, 10240),
        ("bytes=-99999", 0, 10240),
    ],
)
def test_a_range_is_exactly_those_bytes(
    server: SiteServer, wanted: str, start: int, stop: int
) -> None:
    response, body = get(server, "/model.gguf", Range=wanted)
    assert (response.status, body) == (206, BODY[start:stop])
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/10240"


@pytest.mark.parametrize("wanted", ["bytes=10240-", "bytes=9-5", "bytes=-0", "bytes=-"])
def test_a_range_that_the_file_does_not_have(server: SiteServer, wanted: str) -> None:
    response, body = get(server, "/model.gguf", Range=wanted)
    assert (response.status, body) == (416, b"")
    assert response.headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=0-1,4-5"])
def test_a_range_of_another_kind_is_ignored(server: SiteServer, wanted: str) -> None:
    response, body = get(server, "/model.gguf", Range=wanted)
    assert (response.status, body) == (200, BODY)


def test_nothing_outside_the_folder(server: SiteServer) -> None:
    response, _ = get(server, "/../../etc/passwd")
    assert response.status == 404
    response, _ = get(server, "/missing.gguf", Range="bytes=0-1")
    assert response.status == 404


def ended(*words: str | Path) -> str:
    """What a command that must fail at once says, without a traceback."""
    command = [sys.executable, *words]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in process.stderr
    assert process.stdout == ""
    return process.stderr


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_a_bad_port_is_refused_before_anything_is_built(port: str) -> None:
    assert f"a port is a number from 0 to 65535, not '{port}'" in ended(
        "build.py", "demo", f"--port={port}"
    )


def test_serving_again_needs_a_folder_and_a_free_port(server: SiteServer, tmp_path: Path) -> None:
    serve = ROOT / "demo" / "tools" / "serve.py"
    assert ended(serve, tmp_path / "none").startswith(f"There is no folder {tmp_path / 'none'}.")
    assert "not '70000'" in ended(serve, tmp_path, "70000")
    used = str(server.server_address[1])
    assert ended(serve, tmp_path, used).startswith(f"Port {used} cannot be used (")
