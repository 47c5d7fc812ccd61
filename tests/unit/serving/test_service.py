"""Every endpoint's answers and errors, whatever carries them; the engine is a double."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import Any

import pytest
from fake_engine import FakeEngine

import webllm_py
from webllm_py.errors import ServerError
from webllm_py.routing.targets import Remote
from webllm_py.serving import Reply, Request, Service

CHAT = {"messages": [{"role": "user", "content": "Hello!"}]}


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


async def post(service: Service, path: str, fields: Any, **headers: str) -> Reply:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return await service.answer(Request("POST", path, body, headers))


async def get(service: Service, path: str, **headers: str) -> Reply:
    return await service.answer(Request("GET", path, headers=headers))


def json_of(reply: Reply) -> Any:
    assert reply.content_type == "application/json"
    assert isinstance(reply.body, bytes)
    return json.loads(reply.body)


async def events_of(reply: Reply) -> list[Any]:
    """The objects of an event stream, and "[DONE]"."""
    assert reply.content_type.startswith("text/event-stream")
    assert not isinstance(reply.body, bytes)
    text = b"".join([piece async for piece in reply.body]).decode()
    await reply.body.aclose()
    *events, nothing = text.split("\n\n")
    assert nothing == "" and all(event.startswith("data: ") for event in events)
    data = [event.removeprefix("data: ") for event in events]
    return [json.loads(text) if text != "[DONE]" else text for text in data]


async def metrics_of(service: Service) -> dict[str, float]:
    """Prometheus's samples, each line of which must be one."""
    reply = await get(service, "/metrics")
    assert reply.content_type.startswith("text/plain; version=0.0.4")
    assert isinstance(reply.body, bytes)
    samples = {}
    for line in reply.body.decode().splitlines():
        if not re.fullmatch(r"# (HELP|TYPE) webllm_py_[a-z_]+ .+", line):
            match = re.fullmatch(r'(webllm_py_[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) (\S+)', line)  # fmt: skip # noqa: E501
            assert match, line
            samples[match[1].removeprefix("webllm_py_")] = float(match[2])
    return samples


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/completions/"])
async def test_an_answer(engine: FakeEngine, path: str) -> None:
    reply = await post(Service(engine), path, {**CHAT, "model": "gpt", "top_k": 3, "self": None})
    assert reply.status == 200
    assert json_of(reply)["choices"][0]["message"]["content"] == "Hello there"
    assert engine.asked == [{**CHAT, "model": "gpt", "top_k": 3, "self": None}]


@pytest.mark.parametrize("asked", [True, False])
async def test_a_stream(engine: FakeEngine, asked: bool) -> None:
    """The usage is known to the metrics, and shown only to who asked for it."""
    service = Service(engine)
    options = {"stream_options": {"include_usage": True}} if asked else {}
    reply = await post(service, "/v1/chat/completions", {**CHAT, "stream": True, **options})
    *chunks, done = await events_of(reply)
    assert (reply.status, done) == (200, "[DONE]")
    texts = [c["delta"].get("content", "") for chunk in chunks for c in chunk["choices"]]
    assert "".join(texts) == "Hello there"
    assert [bool(chunk["choices"]) for chunk in chunks[-2:]] == [True, not asked]
    samples = await metrics_of(service)
    assert samples['requests_total{endpoint="/chat/completions",status="200"}'] == 1
    assert samples["completion_tokens_total"] == 2


async def test_a_stream_that_nobody_reads_to_its_end(engine: FakeEngine) -> None:
    engine.go_on.clear()
    service = Service(engine)
    reply = await post(service, "/v1/chat/completions", {**CHAT, "stream": True})
    assert not isinstance(reply.body, bytes)
    async for _ in reply.body:
        break
    assert (await metrics_of(service))["requests_processing"] == 1
    await reply.body.aclose()
    assert (engine.answering, engine.cut) == (0, 1)
    samples = await metrics_of(service)
    assert samples['requests_total{endpoint="/chat/completions",status="499"}'] == 1


async def test_embeddings(engine: FakeEngine) -> None:
    service = Service(engine)
    reply = await post(service, "/v1/embeddings", {"input": "x"})
    assert json_of(reply)["data"][0]["embedding"] == [0.5, 0.25]
    assert (await metrics_of(service))["prompt_tokens_total"] == 4


async def test_models(engine: FakeEngine) -> None:
    service = Service(engine)
    models = json_of(await get(service, "/v1/models"))
    assert models["object"] == "list"
    [model] = models["data"]
    assert (model["id"], model["object"], model["context_length"]) == ("fake", "model", 64)
    assert json_of(await get(service, "/v1/models/fake")) == model
    engine.adapters["pirate"] = None
    assert json_of(await get(service, "/v1/models/pirate")) == {
        **model,
        "id": "pirate",
        "parent": "fake",
    }
    assert len(json_of(await get(service, "/v1/models"))["data"]) == 2
    missing = await get(service, "/v1/models/org/other")
    assert (missing.status, json_of(missing)["error"]["code"]) == (404, "model_not_found")


async def test_tokens(engine: FakeEngine) -> None:
    service = Service(engine)

    async def tokens(**fields: Any) -> Any:
        return json_of(await post(service, "/tokenize", fields))["tokens"]

    assert await tokens(content="<a") == [60, 97]
    assert await tokens(content="<", parse_special=False, add_special=True) == [91, 0]
    assert await tokens(content="é", with_pieces=True) == [
        {"id": 195, "piece": [195]},
        {"id": 169, "piece": [169]},
    ]
    back = await post(service, "/v1/detokenize", {"tokens": [195, 169, 97]})
    assert json_of(back) == {"content": "éa"}


async def test_a_long_text_s_tokens_hold_up_nobody(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is not tokenized before another client's request comes to its end."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(text: str, **options: Any) -> list[int]:
        begun.set()
        assert go_on.wait(10), "everybody waits for it"
        return [1]

    monkeypatch.setattr(engine.tokenizer, "encode", slow)
    service = Service(engine)
    asked = asyncio.ensure_future(post(service, "/tokenize", {"content": "long"}))
    await asyncio.to_thread(begun.wait, 10)
    assert (await post(service, "/v1/chat/completions", CHAT)).status == 200
    go_on.set()
    assert json_of(await asked)["tokens"] == [1]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/tokenize", {}, "content"),
        ("/tokenize", {"content": 5}, "content"),
        ("/tokenize", {"content": "x", "with_pieces": 1}, "with_pieces"),
        ("/tokenize", {"content": "x", "pieces": True}, "pieces"),
        ("/detokenize", {"tokens": [256]}, "tokens"),
        ("/detokenize", {"tokens": [True]}, "tokens"),
    ],
)
async def test_wrong_fields_of_tokens(
    engine: FakeEngine, path: str, fields: dict[str, Any], param: str
) -> None:
    reply = await post(Service(engine), path, fields)
    assert (reply.status, json_of(reply)["error"]["param"]) == (400, param)


MINE, YOURS = "server_error", "invalid_request_error"


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (webllm_py.RequestError("x", param="n", code="c"), 400, YOURS, "c"),
        (webllm_py.ContextLengthError("x"), 400, YOURS, "context_length_exceeded"),
        (webllm_py.TemplateError("x"), 400, YOURS, None),
        (webllm_py.UnsupportedSchemaError("x", keyword="a", path="#"), 400, YOURS, None),
        (webllm_py.RequestError("x", code="interrupted"), 503, YOURS, "interrupted"),
        (webllm_py.RequestTimeoutError(2), 408, "timeout_error", "timeout"),
        (webllm_py.EngineClosedError("x"), 503, MINE, None),
        (webllm_py.GPUOutOfMemoryError("x"), 503, MINE, None),
        (webllm_py.DeviceError("x"), 500, MINE, None),
        (ValueError("secret"), 500, MINE, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_has_its_status(
    engine: FakeEngine, error: Exception, status: int, kind: str, code: str | None, stream: bool
) -> None:
    """So it has where the answer fails before its first piece is there."""
    engine.fails, engine.fails_after = error, 0 if stream else None
    service = Service(engine)
    reply = await post(service, "/v1/chat/completions", {**CHAT, "stream": stream})
    found = json_of(reply)["error"]
    assert (reply.status, found["type"], found["code"]) == (status, kind, code)
    assert set(found) == {"message", "type", "param", "code"}
    assert "secret" not in found["message"]
    assert ("retry-after" in reply.headers) == (status == 503)
    samples = await metrics_of(service)
    assert samples[f'requests_total{{endpoint="/chat/completions",status="{status}"}}'] == 1


async def test_an_error_in_the_middle_of_a_stream(engine: FakeEngine) -> None:
    engine.fails, engine.fails_after = webllm_py.DeviceLostError("lost"), 2
    service = Service(engine)
    reply = await post(service, "/v1/chat/completions", {**CHAT, "stream": True})
    *chunks, last = await events_of(reply)
    assert len(chunks) == 2
    assert last["error"]["message"] == "lost"
    samples = await metrics_of(service)
    assert samples['requests_total{endpoint="/chat/completions",status="503"}'] == 1
    assert engine.recovered == 1, "a lost device is replaced"


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (Request("GET", "/v1/nothing"), 404, "unknown_url"),
        (Request("GET", "/"), 404, "unknown_url"),
        (Request("GET", "/v1/chat/completions"), 405, None),
        (Request("POST", "/v1/models"), 405, None),
        (Request("POST", "/v1/chat/completions", b"{"), 400, None),
        (Request("POST", "/v1/chat/completions", b"[" * 100_000), 400, None),
        (Request("POST", "/v1/chat/completions", b"[]"), 400, None),
        (Request("POST", "/v1/chat/completions", b"\xff"), 400, None),
    ],
)
async def test_what_no_endpoint_takes(
    engine: FakeEngine, request_: Request, status: int, code: str | None
) -> None:
    reply = await Service(engine).answer(request_)
    assert (reply.status, json_of(reply)["error"]["code"]) == (status, code)
    assert reply.headers.get("allow") == {405: {"GET": "POST", "POST": "GET"}[request_.method]}.get(
        status
    )
    assert not engine.asked


async def test_an_address_without_an_endpoint_lists_them(engine: FakeEngine) -> None:
    told = json_of(await Service(engine).answer(Request("GET", "/v1")))["error"]["message"]
    assert "/chat/completions, " in told and told.endswith("with or without /v1 before them")
    assert (await Service(engine).answer(Request("GET", "/v1/health"))).status == 200


async def test_an_api_key(engine: FakeEngine) -> None:
    service = Service(engine, api_key="k-y")
    for given in (None, "Bearer no", "Bearer ", "Basic k-y", "Bearer k-ÿ"):
        headers = {"authorization": given} if given else {}
        reply = await post(service, "/v1/chat/completions", CHAT, **headers)
        assert (reply.status, json_of(reply)["error"]["code"]) == (401, "invalid_api_key")
    assert not engine.asked
    assert (await get(service, "/metrics")).status == 401
    assert (await get(service, "/health")).status == 200
    for scheme in ("Bearer", "bearer"):  # of which case says nothing (RFC 9110, 11.1)
        assert (await get(service, "/v1/models", authorization=f"{scheme} k-y")).status == 200


def test_a_key_that_clients_send_in_several_ways_or_not_at_all(engine: FakeEngine) -> None:
    for key in ("", "kéy", "a key", "key\n"):
        with pytest.raises(ServerError, match="an API key is made of ASCII"):
            Service(engine, api_key=key)
        if key:
            with pytest.raises(ServerError, match="this one has others"):
                Remote("http://127.0.0.1/v1", api_key=key)


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/metrics"])
async def test_what_can_be_got_can_be_looked_at(engine: FakeEngine, path: str) -> None:
    """As ``wget --spider`` and what watches servers do."""
    service = Service(engine)
    reply = await service.answer(Request("HEAD", path))
    assert (reply.status, reply.content_type) == (200, (await get(service, path)).content_type)
    engine.closed = True
    assert (await service.answer(Request("HEAD", "/health"))).status == 503


async def test_more_may_not_wait(engine: FakeEngine) -> None:
    engine.waiting = 2
    service = Service(engine, most_waiting=2)
    reply = await post(service, "/v1/chat/completions", CHAT)
    assert reply.status == 429
    assert json_of(reply)["error"]["code"] == "rate_limit_exceeded"
    assert reply.headers["retry-after"] == "1"
    assert (await metrics_of(service))["requests_waiting"] == 2
    engine.waiting = 1
    assert (await post(service, "/v1/chat/completions", CHAT)).status == 200


async def test_health(engine: FakeEngine) -> None:
    service = Service(engine)
    assert json_of(await get(service, "/health")) == {"status": "ok"}
    engine.closed = True
    assert (await get(service, "/health")).status == 503


async def test_metrics_add_up(engine: FakeEngine) -> None:
    service = Service(engine)
    for _ in range(3):
        await post(service, "/v1/chat/completions", CHAT)
    samples = await metrics_of(service)
    assert samples["prompt_tokens_total"] == 9
    assert samples["prompt_tokens_cached_total"] == 3
    assert samples["completion_tokens_total"] == 6
    assert samples['request_seconds_bucket{le="0.25"}'] == 0
    assert samples['request_seconds_bucket{le="0.5"}'] == 3
    assert samples['request_seconds_bucket{le="+Inf"}'] == samples["request_seconds_count"] == 3
    assert samples["request_seconds_sum"] == pytest.approx(0.9)
