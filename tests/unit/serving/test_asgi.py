"""What the ASGI side does with clients that vanish, read slowly or send much."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from fake_engine import FakeEngine

from webllm_py.serving import ASGIApp, Service, bodies

CHAT = {"messages": [{"role": "user", "content": "Hello!"}]}


class Client:
    """One connection, as a server shows it to the application.

    Attributes:
        reading: cleared, the connection takes no more.
        takes: messages that it takes before that.
        sent: messages of the application.
    """

    def __init__(self, app: ASGIApp, *parts: bytes):
        self.app = app
        self.reading = asyncio.Event()
        self.reading.set()
        self.takes = 0
        self.sent: list[dict[str, Any]] = []
        self._left = asyncio.Event()
        self._parts = [
            {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)}
            for i, part in enumerate(parts)
        ]

    @asynccontextmanager
    async def asking(self, **scope: Any) -> AsyncIterator[asyncio.Task[None]]:
        whole = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [(b"content-type", b"application/json")],
            **scope,
        }
        task = asyncio.create_task(self.app(whole, self.receive, self.send))
        async with asyncio.timeout(10):
            yield task
            await task

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> dict[str, Any]:
        if self._parts:
            return self._parts.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if len(self.sent) >= self.takes:
            await self.reading.wait()
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


def asked(engine: FakeEngine, *, patience: float = 60, **fields: Any) -> Client:
    return client_of(Service(engine), patience=patience, **fields)


def client_of(service: Service, *, patience: float = 60, **fields: Any) -> Client:
    body = json.dumps({**CHAT, **fields}).encode()
    return Client(ASGIApp(service, patience=patience), body[:9], body[9:])


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0)


async def test_a_whole_answer(engine: FakeEngine) -> None:
    client = asked(engine)
    async with client.asking():
        pass
    start, body = client.sent
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert json.loads(body["body"])["choices"][0]["message"]["content"] == "Hello there"


async def test_pieces_are_sent_as_they_come(engine: FakeEngine) -> None:
    engine.go_on.clear()
    client = asked(engine, stream=True)
    async with client.asking():
        await until(lambda: b"Hello" in client.body)
        assert b" there" not in client.body
        engine.go_on.set()
    assert client.body.endswith(b"data: [DONE]\n\n")
    assert [message.get("more_body", False) for message in client.sent[-2:]] == [True, False]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_vanishes_ends_its_answer(engine: FakeEngine, stream: bool) -> None:
    engine.go_on.clear()
    client = asked(engine, stream=stream)
    async with client.asking():
        await until(lambda: engine.answering)
        client.leave()
    assert (engine.answering, engine.cut) == (0, 1)


async def test_one_that_vanishes_while_it_sends(engine: FakeEngine) -> None:
    client = Client(ASGIApp(Service(engine)))
    client.leave()
    async with client.asking():
        pass
    assert not client.sent and not engine.asked


@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_here_is_told_to_the_server(engine: FakeEngine, stream: bool) -> None:
    """Which logs it; that the client has gone is no failure."""
    for error in (ValueError("a defect"), ConnectionResetError()):

        async def send(message: Any, error: Exception = error) -> None:
            raise error

        client = asked(engine, stream=stream)
        client.send = send  # type: ignore[method-assign]
        with nullcontext() if isinstance(error, OSError) else pytest.raises(ValueError):
            async with client.asking():
                pass
    assert engine.answering == 0


async def test_a_slow_reader_holds_up_nobody(engine: FakeEngine) -> None:
    slow, other = asked(engine, stream=True), asked(engine, stream=True)
    slow.reading.clear()
    async with slow.asking() as task:
        await until(lambda: len(engine.asked) == 1 and not engine.answering)
        async with other.asking():
            pass
        assert other.body.endswith(b"data: [DONE]\n\n")
        assert not slow.sent and not task.done()
        slow.reading.set()
    assert slow.body.endswith(b"data: [DONE]\n\n")


async def test_what_a_slow_reader_has_not_taken_comes_in_one(engine: FakeEngine) -> None:
    engine.words = tuple("abcdefgh")
    client = asked(engine, stream=True)
    client.reading.clear()
    client.takes = 2  # the head, and the first piece
    async with client.asking():
        await until(lambda: len(client.sent) == 2 and not engine.answering)
        client.reading.set()
    assert len(client.sent) < 6
    events = client.body.decode().removesuffix("\n\n").split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "abcdefgh"


@pytest.mark.parametrize("by_all", [False, True])
async def test_memory_for_slow_readers_has_an_end(engine: FakeEngine, by_all: bool) -> None:
    """The answer ends, and its memory is free; others go on."""
    engine.words = ("x" * 100,) * 1000
    service = Service(engine)
    if by_all:
        service.backlog.most_by_all = 20_000
    else:
        service.backlog.most = 20_000
    slow, other = client_of(service, stream=True), client_of(service, stream=True)
    slow.reading.clear()
    slow.takes = 2
    async with slow.asking():
        await until(lambda: engine.cut)
        assert (engine.answering, service.backlog.size) == (0, 0)
        async with other.asking():
            pass
        slow.reading.set()
    assert "were not read" in json.loads(slow.body.split(b"data: ")[-1])["error"]["message"]
    assert other.body.endswith(b"data: [DONE]\n\n")
    metrics = client_of(service)
    async with metrics.asking(method="GET", path="/metrics"):
        pass
    assert b"webllm_py_slow_readers_total 1\n" in metrics.body
    assert b"webllm_py_unread_bytes 0\n" in metrics.body
    assert b'status="499"} 1\n' in metrics.body and b'status="200"} 1\n' in metrics.body


async def test_one_that_takes_nothing_counts_as_gone(engine: FakeEngine) -> None:
    engine.go_on.clear()
    client = asked(engine, stream=True, patience=0.05)
    client.reading.clear()
    client.takes = 2
    async with client.asking():
        pass
    assert len(client.sent) == 2
    assert (engine.answering, engine.cut) == (0, 1)


async def test_a_body_that_is_too_large(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 20)
    client = asked(engine)
    async with client.asking():
        pass
    assert client.sent[0]["status"] == 413
    assert json.loads(client.body)["error"]["type"] == "invalid_request_error"
    assert not engine.asked


async def test_all_bodies_together_are_bounded(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a key could still fill the memory, with many bodies of which each is allowed. A body
    takes its room until it is answered; one that is refused takes none."""
    body = json.dumps(CHAT).encode()
    monkeypatch.setattr(bodies, "MOST_HELD", 2 * len(body) - 1)
    app = ASGIApp(Service(engine))
    engine.go_on.clear()
    first, *refused, last = (Client(app, body[:9], body[9:]) for _ in range(5))
    async with first.asking():
        await until(lambda: engine.asked)
        for client in refused:
            async with client.asking():
                pass
            assert client.sent[0]["status"] == 503
            assert (b"retry-after", b"1") in client.sent[0]["headers"]
            assert json.loads(client.body)["error"]["type"] == "server_error"
        engine.go_on.set()
    async with last.asking():
        pass
    assert [first.sent[0]["status"], last.sent[0]["status"]] == [200, 200]
    assert len(engine.asked) == 2


async def test_a_body_that_stops_coming_or_is_left_takes_no_room(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(CHAT).encode()
    monkeypatch.setattr(bodies, "MOST_HELD", len(body))
    app = ASGIApp(Service(engine), patience=0.05)
    stalled, left, whole = Client(app, body[:9], b""), Client(app, body[:9], b""), Client(app, body)
    for client in (stalled, left):
        client._parts.pop()  # there should be more
    left.leave()
    for client in (stalled, left, whole):
        async with client.asking():
            pass
    assert (stalled.sent[0]["status"], left.sent) == (408, [])
    assert whole.sent[0]["status"] == 200


@pytest.mark.parametrize(
    ("scope", "status"),
    [({}, 401), ({"path": "/v1/nothing"}, 404), ({"method": "GET"}, 405)],
)
async def test_nothing_is_kept_of_a_body_that_is_refused_unread(
    engine: FakeEngine, scope: dict[str, Any], status: int
) -> None:
    """Who has no key could fill the memory with bodies that never end."""
    client = Client(ASGIApp(Service(engine, api_key="secret")))
    client._parts = [{"type": "http.request", "body": b"x" * 1000, "more_body": True}]
    async with client.asking(**scope):
        await until(lambda: client.sent)  # though the body goes on
    assert client.sent[0]["status"] == status
    assert not engine.asked


async def test_lifespan_and_websockets(engine: FakeEngine) -> None:
    app = ASGIApp(Service(engine))
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
