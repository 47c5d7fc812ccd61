"""Which web pages a server answers, whatever they send."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fake_engine import FakeEngine

from webllm_py.errors import ServerError
from webllm_py.serving import ASGIApp, OriginGuard, Service, checked_origin

FOREIGN = "https://evil.example"


async def status_of(app: Any, method: str, *headers: tuple[str, str]) -> tuple[int, Any]:
    """The status of a reply, and its object."""
    sent: list[dict[str, Any]] = []
    body = json.dumps({"messages": [{"role": "user", "content": "Hello!"}]}).encode()
    parts = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "method": method, "path": "/v1/chat/completions", "headers": pairs}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "GET"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
async def test_pages_are_refused(method: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine()
    app = OriginGuard(ASGIApp(Service(engine)), ["http://localhost:3000"])
    foreign = (FOREIGN, "http://localhost:3001", "https://localhost:3000", "null", "", "é")
    with caplog.at_level(logging.WARNING):
        for origin in foreign:
            for _ in range(2):
                status, reply = await status_of(
                    app, method, ("content-type", kind), ("origin", origin)
                )
                assert (status, reply["error"]["code"]) == (403, "origin_not_allowed")
    assert not engine.asked
    assert len(caplog.messages) == len(foreign)  # each once
    assert "web pages of 'https://evil.example' may not ask" in caplog.messages[0]


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        ([], None, 200),
        (["http://localhost:3000"], None, 200),
        (["http://localhost:3000"], "http://localhost:3000", 200),
        (["*"], FOREIGN, 200),
        (["*"], "null", 200),
        (["null"], "null", 200),
        (["null"], FOREIGN, 403),
    ],
)
async def test_what_is_allowed_goes_on(allowed: list[str], origin: str | None, status: int) -> None:
    app = OriginGuard(ASGIApp(Service(FakeEngine())), allowed)
    headers = [("origin", origin)] if origin else []
    assert (await status_of(app, "POST", *headers))[0] == status


async def test_one_of_two_is_not_enough() -> None:
    app = OriginGuard(ASGIApp(Service(FakeEngine())), ["http://a"])
    two = (("origin", "http://a"), ("origin", FOREIGN))
    assert (await status_of(app, "POST", *two))[0] == 403


async def test_a_flood_of_origins_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    app = OriginGuard(ASGIApp(Service(FakeEngine())))
    for number in range(100):
        await status_of(app, "POST", ("origin", f"https://{number}\n.example"))
    assert len(caplog.messages) == 16
    assert all("\n" not in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://Example.org/", "https://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("*", "*"),
        ("null", "null"),
    ],
)
def test_origins_are_as_browsers_write_them(given: str, origin: str) -> None:
    assert checked_origin(given) == origin


@pytest.mark.parametrize("given", ["", "localhost:3000", "https://a.b/c", "https://*.a.b", "a b"])
def test_what_is_no_origin(given: str) -> None:
    with pytest.raises(ServerError, match="is not an origin"):
        checked_origin(given)
