"""The unmodified ``openai`` client against an engine, in the process and over HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import openai
import pydantic
import pytest
import uvicorn
from engine_tools import PRINTABLE_ONLY
from made_embedders import EMBEDDERS, write_embedder_gguf

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.serving import ASGIApp, Service

FIELDS: dict[str, Any] = {
    "model": "any",
    "temperature": 0,
    "max_tokens": 12,
    "logit_bias": {str(token): bias for token, bias in PRINTABLE_ONLY.items()},
}
LONG: dict[str, Any] = {**FIELDS, "prompt": "Once", "max_tokens": 480}
HELLO: Any = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
async def port(engine: Engine) -> AsyncIterator[int]:
    """Of a server on this event loop."""
    config = uvicorn.Config(
        ASGIApp(Service(engine)), port=0, log_config=None, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:  # noqa: ASYNC110 - it does not tell
            await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.fixture(scope="module", params=["in the process", "over HTTP"])
async def client(
    request: pytest.FixtureRequest, engine: Engine, port: int
) -> AsyncIterator[openai.AsyncOpenAI]:
    if request.param == "over HTTP":
        found = openai.AsyncOpenAI(
            api_key="x", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0
        )
    else:
        found = webllm_py.openai_client(engine)
    async with found:
        yield found


@pytest.fixture(autouse=True)
async def free(engine: Engine) -> AsyncIterator[None]:
    """Whatever a test did, the engine answers."""
    yield
    async with asyncio.timeout(60):
        await engine.completions.create(prompt="x", max_tokens=1)


async def expected(engine: Engine, **fields: Any) -> str:
    reply = await engine.chat.completions.create(
        messages=HELLO, **{**FIELDS, "logit_bias": PRINTABLE_ONLY, **fields}
    )
    text: str = reply.choices[0].message.content
    assert len(text) == fields.get("max_tokens", 12)
    return text


async def test_a_chat(engine: Engine, client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(messages=HELLO, **FIELDS)
    assert reply.choices[0].message.content == await expected(engine)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage and reply.usage.completion_tokens == 12
    assert reply.model == "any"


async def test_a_streamed_chat(engine: Engine, client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        messages=HELLO, stream=True, stream_options={"include_usage": True}, **FIELDS
    )
    chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == await expected(engine)
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 12
    assert len(chunks) > 4


async def test_fields_of_this_package(engine: Engine, client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        messages=HELLO,
        extra_body={"response_format": {"type": "regex", "regex": "[ab]{5}"}},
        **FIELDS,
    )
    assert set(reply.choices[0].message.content or "") <= {*"ab"}
    assert reply.choices[0].finish_reason == "stop"


@pytest.fixture(scope="module")
async def pocket(device: Device) -> AsyncIterator[openai.AsyncOpenAI]:
    """Of the pocket model, whose context holds a function's schema."""
    async with (
        await webllm_py.load(device=device) as engine,
        webllm_py.openai_client(engine) as client,
    ):
        yield client


class Place(pydantic.BaseModel):
    """What a structured answer is parsed into."""

    kind: Literal["town", "river"]
    depth: int = pydantic.Field(ge=0, le=99)
    names: list[Literal["a", "b"]] = pydantic.Field(max_length=2)


async def test_a_structured_answer_is_parsed(pocket: openai.AsyncOpenAI) -> None:
    """The client makes a strict schema of a class, and an object of the answer."""
    reply = await pocket.chat.completions.parse(
        messages=HELLO, response_format=Place, model="any", temperature=0, max_tokens=300
    )
    place = reply.choices[0].message.parsed
    assert isinstance(place, Place) and place.kind in ("town", "river")


async def test_calls_of_functions(pocket: openai.AsyncOpenAI) -> None:
    """Forced, streamed as the client's own helper reads it, and parsed into the arguments' class;
    then the result goes back."""
    tool = openai.pydantic_function_tool(Place, name="look_up")
    fields: dict[str, Any] = {"tools": [tool], "tool_choice": "required"}
    fields |= {"model": "any", "temperature": 0, "max_tokens": 200}
    async with pocket.chat.completions.stream(messages=HELLO, **fields) as stream:
        kinds = {event.type async for event in stream}
        message = (await stream.get_final_completion()).choices[0].message
    assert "tool_calls.function.arguments.done" in kinds
    calls = message.tool_calls
    assert calls and calls[0].function.name == "look_up"
    assert isinstance(calls[0].function.parsed_arguments, Place)
    result = {"role": "tool", "tool_call_id": calls[0].id, "content": "It is deep."}
    messages: Any = [*HELLO, message.model_dump(exclude_none=True), result]
    reply = await pocket.chat.completions.create(
        messages=messages, model="any", max_tokens=3, tools=[tool], tool_choice="none"
    )
    assert reply.usage and reply.usage.prompt_tokens > 20


async def test_what_is_not_done_says_what_to_do(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="ask /v1/chat/completions"):
        await client.responses.create(model="any", input="Hello!")


async def test_a_completion(engine: Engine, client: openai.AsyncOpenAI) -> None:
    whole = await client.completions.create(prompt="Once", **FIELDS)
    stream = await client.completions.create(prompt="Once", stream=True, **FIELDS)
    text = "".join([chunk.choices[0].text async for chunk in stream])
    assert whole.choices[0].text == text and len(text) == 12


async def test_models(engine: Engine, client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [engine.name]
    assert (await client.models.retrieve(engine.name)).owned_by == "webllm_py"


async def test_errors(engine: Engine, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(messages=HELLO, n=0, **FIELDS)
    assert caught.value.param == "n"
    with pytest.raises(openai.BadRequestError) as caught:
        await client.completions.create(prompt=[5] * 5000, model="x", stream=True)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="was not trained to embed"):
        await client.embeddings.create(input="x", model="x")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nothing")


async def test_an_error_in_the_middle(
    engine: Engine, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream has begun when its prompt is computed."""

    async def fails(*arguments: Any) -> None:
        raise webllm_py.GPUOutOfMemoryError("no memory")
        yield

    monkeypatch.setattr("webllm_py.runtime.generation.prefill.prefill", fails)
    stream = await client.chat.completions.create(messages=HELLO, stream=True, **FIELDS)
    with pytest.raises(openai.APIError, match="no memory"):
        async for _ in stream:
            pass
    monkeypatch.undo()


@pytest.fixture(scope="module")
async def long_text(engine: Engine) -> str:
    """What "Once" goes on with, up to the end of the context."""
    reply = await engine.completions.create(**{**LONG, "logit_bias": PRINTABLE_ONLY})
    assert reply.usage.completion_tokens > 400
    return reply.choices[0].text


@pytest.fixture
async def cut_short(engine: Engine, long_text: str) -> AsyncIterator[None]:
    """An answer of that text is begun in the test, and ends long before the text does: what was
    computed of it is in the cache."""
    engine.loaded.executor.cache.pages.clear()
    yield
    async with asyncio.timeout(60):
        while engine.answering:  # noqa: ASYNC110 - a connection's end is noticed in time
            await asyncio.sleep(0.01)
    reply = await engine.completions.create(prompt="Once" + long_text[:-5], max_tokens=1)
    assert reply.usage.prompt_tokens_details.cached_tokens < 300


@pytest.mark.usefixtures("cut_short")
async def test_a_stream_that_is_closed_ends_its_answer(client: openai.AsyncOpenAI) -> None:
    async with await client.completions.create(stream=True, **LONG) as stream:
        async for _ in stream:
            break


@pytest.mark.usefixtures("cut_short")
async def test_cancelling_ends_an_answer(engine: Engine, client: openai.AsyncOpenAI) -> None:
    task = asyncio.create_task(client.completions.create(**LONG))
    submits = engine.loaded.owner.device.n_submits
    async with asyncio.timeout(60):
        while engine.loaded.owner.device.n_submits < submits + 5:  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_many_at_once(engine: Engine, client: openai.AsyncOpenAI) -> None:
    asked = [client.chat.completions.create(messages=HELLO, **FIELDS) for _ in range(12)]
    replies = await asyncio.gather(*asked)
    assert {reply.choices[0].message.content for reply in replies} == {await expected(engine)}
    assert engine.waiting == 0


async def test_embeddings(device: Device, tmp_path: Path) -> None:
    """The client asks for base64 and decodes it."""
    path = write_embedder_gguf(tmp_path / "embedder.gguf", EMBEDDERS["bert-3x32"])
    async with await webllm_py.load(path, device=device) as embedder:
        expected = await embedder.embeddings.create(input=["ab", "cd"])
        async with webllm_py.openai_client(embedder) as client:
            found = await client.embeddings.create(input=["ab", "cd"], model="any")
            assert [e.embedding for e in found.data] == [e.embedding for e in expected.data]
            with pytest.raises(openai.BadRequestError, match="text embedder: it writes nothing"):
                await client.completions.create(prompt="x", model="any")


async def raw_stream(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has asked for a stream, and nothing of it read but its beginning."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({**LONG, "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    assert b"200 OK" in await reader.read(100)
    return reader, writer


@pytest.mark.usefixtures("cut_short")
async def test_a_client_that_vanishes(port: int) -> None:
    _, writer = await raw_stream(port)
    writer.transport.abort()


async def test_a_client_that_does_not_read(
    engine: Engine, port: int, client: openai.AsyncOpenAI
) -> None:
    _, writer = await raw_stream(port)
    reply = await client.chat.completions.create(messages=HELLO, **FIELDS)
    assert reply.choices[0].message.content == await expected(engine)
    writer.close()


async def test_what_it_says_when_openai_is_missing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(webllm_py.MissingPackageError, match="pip install openai"):
        webllm_py.openai_client(engine)
