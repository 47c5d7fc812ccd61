"""The router over an engine and this project's own server as the remote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import webllm_py
from webllm_py import Engine, Router
from webllm_py.gpu import Device
from webllm_py.routing import Local, Remote
from webllm_py.serving import ASGIApp, Reply, Request, Service

FIELDS: dict[str, Any] = {"prompt": "Once", "temperature": 0, "max_tokens": 8, "ignore_eos": True}


class Server(Service):
    """The project's own, which a test can make fail.

    Attributes:
        asked: bodies of requests.
        fails: a reply instead of the engine's.
        breaks: whether streams end in the middle.
    """

    def __init__(self, engine: Engine):
        super().__init__(engine, api_key="key")
        self.asked: list[dict[str, Any]] = []
        self.fails: Reply | None = None
        self.breaks = False

    async def answer(self, request: Request) -> Reply:
        self.asked.append(json.loads(request.body))
        if self.fails:
            return self.fails
        reply = await super().answer(request)
        if self.breaks and not isinstance(reply.body, bytes):
            await reply.body.aclose()
            first = b'data: {"choices": [{"index": 0, "text": "x"}]}\n\n'
            return Reply(200, reply.content_type, first)
        return reply


@pytest.fixture
async def server(engine: Engine) -> Server:
    return Server(engine)


@pytest.fixture
async def remote(server: Server) -> AsyncIterator[Remote]:
    config = uvicorn.Config(ASGIApp(server), port=0, log_config=None, lifespan="off", ws="none")
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    async with asyncio.timeout(60):
        while not running.started:  # noqa: ASYNC110 - it does not tell
            await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield Remote(f"http://127.0.0.1:{port}/v1", api_key="key", name="cloud", model="big")
    running.should_exit = True
    await serving


async def expected(engine: Engine) -> str:
    reply = await engine.completions.create(**FIELDS)
    text: str = reply.choices[0].text
    return text


@pytest.mark.parametrize("first", ["here", "cloud"])
async def test_the_first_one_answers_and_is_named(
    engine: Engine, remote: Remote, server: Server, first: str
) -> None:
    targets = [Local(engine, name="here"), remote]
    router = Router(targets if first == "here" else targets[::-1])
    reply = await router.completions.create(**FIELDS)
    assert reply.served_by == reply["served_by"] == first
    assert reply.choices[0].text == await expected(engine)
    assert reply.choices[0]["logprobs"] is None and reply.system_fingerprint is None
    stream = await router.completions.create(stream=True, **FIELDS)
    pieces = [piece async for piece in stream]
    assert {piece.served_by for piece in pieces} == {first}
    assert "".join(piece.choices[0].text for piece in pieces) == reply.choices[0].text
    assert [asked["model"] for asked in server.asked] == ["big"] * (2 if first == "cloud" else 0)


async def test_a_chat(engine: Engine, remote: Remote) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "prompt"}
    fields["messages"] = [{"role": "user", "content": "Hello!"}]
    for target in (engine, remote):
        reply = await Router([target]).chat.completions.create(**fields)
        assert reply.choices[0].message.role == "assistant"
    assert reply.to_dict()["served_by"] == "cloud"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_context_that_is_too_short(engine: Engine, server: Server, stream: bool) -> None:
    """And, on the way, an address where nobody answers."""
    long = {**FIELDS, "prompt": [65] * 600, "stream": stream}
    nobody = Remote("http://127.0.0.1:9/v1", name="nobody")
    with pytest.raises(
        webllm_py.ServerError, match=r"here: this model's context holds .*; nobody gave no answer"
    ):
        answer = await Router([Local(engine, name="here"), nobody]).completions.create(**long)
        await anext(answer)


async def test_a_model_is_loaded_when_it_is_first_asked(
    engine: Engine, small_model: Path, device: Device
) -> None:
    router = Router([Local(small_model, name="file", device=device), engine])
    before = device.n_buffers
    asked = [router.completions.create(**FIELDS) for _ in range(3)]
    replies = await asyncio.gather(*asked)
    assert [reply.served_by for reply in replies] == ["file"] * 3
    assert {reply.choices[0].text for reply in replies} == {await expected(engine)}
    assert device.n_buffers > before
    await router.unload()
    assert device.n_buffers == before
    await engine.completions.create(**FIELDS)  # stays


async def test_a_model_that_does_not_fit(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    async def load(source: Any, **options: Any) -> Engine:
        nonlocal tried
        tried += 1
        raise webllm_py.DeviceLimitError(f"{source} is too large")

    monkeypatch.setattr("webllm_py.routing.targets.load", load)
    router = Router([Local("70b.gguf"), engine])
    for _ in range(2):
        assert (await router.completions.create(**FIELDS)).served_by == engine.name
    assert tried == 1


@pytest.mark.parametrize(
    ("status", "falls_back"), [(500, True), (429, True), (401, True), (400, False)]
)
async def test_a_server_that_refuses(
    engine: Engine, remote: Remote, server: Server, status: int, falls_back: bool
) -> None:
    server.fails = Reply.json({"error": {"message": "no", "param": "n"}}, status)
    router = Router([remote, engine])
    if falls_back:
        assert (await router.completions.create(**FIELDS)).served_by == engine.name
    else:
        with pytest.raises(webllm_py.RequestError, match=r"cloud refused \(400\): no") as caught:
            await router.completions.create(**FIELDS)
        assert caught.value.param == "n"


async def test_what_is_no_json(engine: Engine, remote: Remote, server: Server) -> None:
    for body in (b"<html>", b"[]", b"null"):
        server.fails = Reply(200, "text/html", body)
        router = Router([remote, engine])
        assert (await router.completions.create(**FIELDS)).served_by == engine.name
    server.fails = None
    processed = {**FIELDS, "logits_processors": [lambda logits: logits]}
    reply = await Router([remote, engine]).completions.create(**processed)
    assert reply.served_by == engine.name, "functions cannot be sent"


async def test_a_wrong_request_is_tried_once(
    engine: Engine, remote: Remote, server: Server
) -> None:
    with pytest.raises(webllm_py.RequestError) as caught:
        await Router([engine, remote]).completions.create(**{**FIELDS, "n": 0})
    assert caught.value.param == "n" and not server.asked


async def test_a_stream_that_breaks_is_not_begun_again(
    engine: Engine, remote: Remote, server: Server
) -> None:
    server.breaks = True
    stream = await Router([remote, engine]).completions.create(stream=True, **FIELDS)
    assert (await anext(stream)).choices[0].text == "x"
    with pytest.raises(webllm_py.ServerError, match="in the middle"):
        await anext(stream)


async def test_streams_of_other_servers(engine: Engine, remote: Remote, server: Server) -> None:
    """Their ends and errors are written in other ways too."""
    for body, answers in (
        (b'data:{"choices": [], "error": null}\r\n\r\n: still here\n\ndata:[DONE]\n\n', "cloud"),
        (b'data: {"error": "too busy"}\n\n', engine.name),
        (b"data: []\n\n", engine.name),
    ):
        server.fails = Reply(200, "text/event-stream", body)
        stream = await Router([remote, engine]).completions.create(stream=True, **FIELDS)
        assert {piece.served_by async for piece in stream} == {answers}


async def test_what_is_private_stays_here(engine: Engine, remote: Remote, server: Server) -> None:
    router = Router([remote, engine])
    for said in ({"private": True}, {"extra_body": {"private": True}}):
        assert (await router.completions.create(**said, **FIELDS)).served_by == engine.name
    long = {**FIELDS, "prompt": [65] * 600}
    with pytest.raises(webllm_py.ServerError, match="context holds"):
        await router.completions.create(private=True, **long)
    with pytest.raises(webllm_py.ServerError, match="must not leave this machine"):
        await Router([remote]).completions.create(private=True, **FIELDS)
    with pytest.raises(webllm_py.RequestError, match="'private' must be"):
        await router.completions.create(private="yes", **FIELDS)
    assert not server.asked
    remote.private = True  # one's own server
    reply = await Router([remote]).completions.create(private=True, **FIELDS)
    assert reply.served_by == "cloud"
    assert "private" not in server.asked[0]


async def test_the_soonest_one(engine: Engine, remote: Remote) -> None:
    here = Local(engine, name="here")
    router = Router([here, remote], prefer="latency")
    assert (await router.completions.create(**FIELDS)).served_by == "here"
    assert (await router.completions.create(**FIELDS)).served_by == "cloud", "not asked before"
    here.latency, remote.latency = 2.0, 1.0
    assert (await router.completions.create(**FIELDS)).served_by == "cloud"
    assert remote.latency < 1.0
    remote.latency = 3.0
    assert (await router.completions.create(**FIELDS)).served_by == "here"


@pytest.mark.parametrize("targets", [[], ["model.gguf"], [5]])
async def test_what_is_no_target(targets: list[Any]) -> None:
    with pytest.raises(webllm_py.RequestError):
        Router(targets)
