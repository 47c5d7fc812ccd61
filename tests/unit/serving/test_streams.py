"""Streams that go on after their connection was cut."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fake_engine import FakeEngine

from webllm_py.serving import Reply, Request, Service, Streams

CHAT = {"messages": [{"role": "user", "content": "Hello!"}], "stream": True}


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine("One", " two", " three")


async def begin(service: Service) -> Reply:
    return await service.answer(Request("POST", "/v1/chat/completions", json.dumps(CHAT).encode()))


async def attach(service: Service, id: str, last: str | None = None) -> Reply:
    headers = {} if last is None else {"last-event-id": last}
    return await service.answer(Request("GET", f"/v1/streams/{id}", headers=headers))


async def read(reply: Reply, count: int | None = None) -> list[tuple[str, Any]]:
    """The id and the object of each event, or of so many; the rest stays unread."""
    assert reply.status == 200 and not isinstance(reply.body, bytes)
    found: list[tuple[str, Any]] = []
    async for piece in reply.body:
        name, data, *_ = piece.decode().split("\n")
        data = data.removeprefix("data: ")
        found.append((name.removeprefix("id: "), data if data == "[DONE]" else json.loads(data)))
        if len(found) == count:
            break
    return found


def text(events: list[tuple[str, Any]]) -> str:
    chunks = [chunk for _, chunk in events if chunk != "[DONE]" and chunk["choices"]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


async def test_a_cut_stream_goes_on_behind_the_last_event_that_came(engine: FakeEngine) -> None:
    service = Service(engine, streams=Streams())
    engine.go_on.clear()
    reply = await begin(service)
    id = reply.headers["x-stream-id"]
    first = await read(reply, 2)
    assert [name for name, _ in first] == [f"{id}:0", f"{id}:1"]
    rest_reply = await attach(service, id, first[-1][0])
    engine.go_on.set()
    rest = await read(rest_reply)
    assert rest[-1][1] == "[DONE]"
    assert text(first + rest) == "One two three"
    assert [name for name, _ in first + rest] == [f"{id}:{i}" for i in range(len(first + rest))]
    assert len(engine.asked) == 1 and engine.cut == 0


async def test_all_of_a_stream_can_be_had_again_also_after_its_end(engine: FakeEngine) -> None:
    service = Service(engine, streams=Streams())
    reply = await begin(service)
    whole = await read(reply)
    await reply.body.aclose()  # type: ignore[union-attr]
    again = await attach(service, reply.headers["x-stream-id"])
    assert await read(again) == whole
    assert await read(await attach(service, reply.headers["x-stream-id"], whole[-1][0])) == []


async def test_whoever_read_before_gets_no_more_and_ends_nothing(engine: FakeEngine) -> None:
    service = Service(engine, streams=Streams())
    engine.go_on.clear()
    old = await begin(service)
    reading = asyncio.ensure_future(read(old))
    await asyncio.sleep(0)
    new = await attach(service, old.headers["x-stream-id"])
    seen = await asyncio.wait_for(reading, 5)  # it ends while the answer goes on
    assert text(seen) != "One two three"
    await old.body.aclose()  # type: ignore[union-attr]
    engine.go_on.set()
    assert text(await read(new)) == "One two three"


async def test_a_reader_that_wants_no_more_ends_the_answer(engine: FakeEngine) -> None:
    service = Service(engine, streams=Streams())
    engine.go_on.clear()
    reply = await begin(service)
    await read(reply, 1)
    await reply.body.aclose()  # type: ignore[union-attr]
    assert (engine.answering, engine.cut) == (0, 1)
    gone = await attach(service, reply.headers["x-stream-id"])
    assert gone.status == 404 and isinstance(gone.body, bytes)
    assert json.loads(gone.body)["error"]["code"] == "stream_not_found"


async def ended(service: Service) -> str:
    """The id of a stream that was read to its end."""
    reply = await begin(service)
    await read(reply)
    await asyncio.sleep(0)  # its task's callbacks
    return reply.headers["x-stream-id"]


async def test_only_so_many_ended_streams_are_remembered(engine: FakeEngine) -> None:
    service = Service(engine, streams=Streams(most_ended=2))
    ids = [await ended(service) for _ in range(3)]
    assert [(await attach(service, id)).status for id in ids] == [404, 200, 200]


async def test_ended_streams_are_forgotten_after_a_while(engine: FakeEngine) -> None:
    service = Service(engine, streams=Streams(seconds_ended=0.05))
    id = await ended(service)
    async with asyncio.timeout(30):
        while (await attach(service, id)).status != 404:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("last", ["nonsense", "{id}:99", "{id}:-1", "other:0", ""])
async def test_the_id_of_no_event_is_refused(engine: FakeEngine, last: str) -> None:
    service = Service(engine, streams=Streams())
    reply = await begin(service)
    await read(reply)
    id = reply.headers["x-stream-id"]
    refused = await attach(service, id, last.format(id=id))
    assert refused.status == 400 and isinstance(refused.body, bytes)
    assert json.loads(refused.body)["error"]["param"] == "Last-Event-ID"


async def test_a_service_that_keeps_no_streams_has_no_such_endpoint(engine: FakeEngine) -> None:
    service = Service(engine)
    reply = await begin(service)
    assert "x-stream-id" not in reply.headers
    assert (await attach(service, "x")).status == 404
    assert not isinstance(reply.body, bytes)
    await reply.body.aclose()
