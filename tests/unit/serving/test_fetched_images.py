"""Images that clients name by address: refused, or fetched within bounds from public addresses."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fake_engine import FakeEngine

from webllm_py.serving import PublicImages, Request, Service
from webllm_py.serving.images import is_public

PICTURE = bytes(range(256)) * 300


class Handler(BaseHTTPRequestHandler):
    """``/to/ADDRESS`` redirects there; the other paths are what their names say."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        asked.append(self.path)
        name, _, rest = self.path[1:].partition("/")
        if name == "to":
            self.reply(302, b"", location=rest)
        elif name == "missing":
            self.reply(404, b"no")
        elif name == "endless":
            self.reply(200, b"x" * 100, length=1 << 40)
            while not released.is_set():
                self.wfile.write(b"x" * 100_000)
        elif name == "slow":
            while not released.wait(0.02):  # a header that grows for ever
                self.wfile.write(b"x")
        elif name == "cut":
            self.reply(200, PICTURE, length=len(PICTURE) + 1)
            self.close_connection = True
        else:
            self.reply(200, PICTURE)

    def reply(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that hang up, which is what is tested."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


asked: list[str] = []
released = threading.Event()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of one on this machine."""
    with QuietServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        released.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    asked.clear()


def only_here(address: Any) -> bool:
    """Stands for what is public: of this machine's addresses one."""
    return str(address) == "127.0.0.1"


def chat(*parts: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": [*parts]}]}).encode()


def image_url(url: Any, **options: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **options}}


async def answered(service: Service, *parts: Any) -> tuple[int, Any]:
    """The status, and what the error says."""
    reply = await service.answer(Request("POST", "/v1/chat/completions", chat(*parts)))
    assert isinstance(reply.body, bytes)
    return reply.status, json.loads(reply.body).get("error")


@pytest.mark.parametrize("scheme", ["http", "HTTPS"])
async def test_nothing_is_fetched_unless_it_is_asked_for(scheme: str) -> None:
    engine = FakeEngine()
    picture = image_url(f"{scheme}://example.org/a.png")
    status, error = await answered(Service(engine), {"type": "text", "text": "?"}, picture)
    assert (status, engine.asked) == (400, [])
    assert error["type"] == "invalid_request_error"
    assert error["param"] == "messages[0].content[1].image_url.url"
    assert "data:image/" in error["message"] and "--fetch-images" in error["message"]
    status, error = await answered(Service(engine), {"type": "image", "image": "http://a.b"})
    assert (status, error["param"]) == (400, "messages[0].content[0].image")


@pytest.mark.parametrize("images", [None, PublicImages()])
async def test_extra_body_hides_no_address(images: PublicImages | None) -> None:
    """A request's fields may stand in there as well: also those of a picture beside the server."""
    engine = FakeEngine()
    service = Service(engine, images=images) if images else Service(engine)
    fields = {"extra_body": json.loads(chat(image_url("http://127.0.0.1/a.png")))}
    body = json.dumps(fields).encode()
    reply = await service.answer(Request("POST", "/v1/chat/completions", body))
    assert (reply.status, engine.asked) == (400, [])
    assert isinstance(reply.body, bytes)
    assert json.loads(reply.body)["error"]["param"] == "messages[0].content[0].image_url.url"
    # The engine would look into this one after the service has looked into the one around it.
    body = json.dumps({"extra_body": fields}).encode()
    reply = await service.answer(Request("POST", "/v1/chat/completions", body))
    assert (reply.status, engine.asked) == (400, [])
    assert json.loads(reply.body)["error"]["param"] == "extra_body.extra_body"


async def test_data_urls_need_no_fetching() -> None:
    engine = FakeEngine()
    part = image_url("data:image/png;base64,AAAA", detail="low")
    assert await answered(Service(engine), part) == (200, None)
    assert engine.asked[0]["messages"][0]["content"] == [part]


async def test_an_image_is_fetched(server: str) -> None:
    engine = FakeEngine()
    service = Service(engine, images=PublicImages(allows=only_here))
    odd = {"type": "image", "image": f"{server}/d", "image_url": "odd"}  # the engine refuses it
    parts = [image_url(f"{server}/a", detail="low"), image_url(f"{server}/to//b?c"), odd]
    assert await answered(service, *parts) == (200, None)
    assert asked == ["/a", "/to//b?c", "/b?c", "/d"]
    assert engine.asked[0]["messages"][0]["content"] == [
        {"type": "image", "image": PICTURE, "detail": "low"},
        {"type": "image", "image": PICTURE},
        {**odd, "image": PICTURE},
    ]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/to/http://127.0.0.2:1/", "127.0.0.2 is not public"),
        ("/to/http://[::1]:1/", "::1 is not public"),
        ("/to/file:///etc/passwd", "none of http(s)"),
        ("/to/http://me@127.0.0.1/", "a user name"),
        ("/to//to//to//to//to//to//a", "more than 5 redirects"),
        ("/missing", "the server answered 404"),
        ("/endless", "more than 1 MiB"),
        ("/slow", "within the 0.4 s"),
        ("/cut", "was cut"),
    ],
)
async def test_what_is_not_had(server: str, url: str, problem: str) -> None:
    engine = FakeEngine()
    seconds = 0.4 if "0.4 s" in problem else 60
    images = PublicImages(allows=only_here, most_bytes=1 << 20, seconds=seconds)
    began = time.monotonic()
    status, error = await answered(Service(engine, images=images), image_url(f"{server}{url}"))
    assert time.monotonic() - began < 30
    assert (status, engine.asked) == (400, [])
    assert (error["code"], error["param"]) == (
        "invalid_image",
        "messages[0].content[0].image_url.url",
    )
    assert problem in error["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "0.0.0.0"])
async def test_this_machine_is_not_asked(server: str, host: str) -> None:
    """Whatever it is called: what counts is the address that a name stands for."""
    url = image_url(f"{server}/a".replace("127.0.0.1", host))
    status, error = await answered(Service(FakeEngine(), images=PublicImages()), url)
    assert (status, asked) == (400, [])
    assert f"{host} is not public" in error["message"]


async def test_many_images_are_refused(server: str) -> None:
    service = Service(FakeEngine(), images=PublicImages(allows=only_here, most_images=2))
    status, error = await answered(service, *[image_url(f"{server}/a")] * 3)
    assert (status, asked) == (400, [])
    assert error["param"] == "messages[0].content[2].image_url.url"


async def test_who_goes_away_ends_the_fetch(server: str) -> None:
    images = PublicImages(allows=only_here, seconds=30)
    task = asyncio.create_task(answered(Service(FakeEngine(), images=images), image_url(f"{server}/slow")))  # fmt: skip # noqa: E501
    while not asked:  # noqa: ASYNC110 - the server does not tell
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(images._threads.shutdown)  # waits for threads that still run


SPECIAL = """
  0.0.0.0 10.1.2.3 100.64.0.1 100.100.100.200 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1
  192.168.0.1 192.0.2.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1
  ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: 2001:0:1::1 fc00::1 fd00:ec2::254 fe80::1
  fe80::1%lo fec0::1 ff02::1 2001:db8::1
"""


@pytest.mark.parametrize("address", SPECIAL.split())
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
