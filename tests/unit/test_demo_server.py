"""The demo's server: media types, byte ranges, revalidation."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # for demo.tools, which no wheel holds

from demo.tools.serve import SiteServer

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
