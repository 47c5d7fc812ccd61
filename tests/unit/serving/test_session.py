"""The Python half of a page's worker, without a browser; the engine is a double."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine

import webllm_py
from webllm_py import errors
from webllm_py.fetch.backends.records import FileRecord, ModelRecord, model_id
from webllm_py.web.job import WINDOW, Job
from webllm_py.web.session import Session

FIELDS = {"messages": [{"role": "user", "content": "Hello!"}]}
LAST = ("end", "error", "cancelled")


class Asked:
    """A job of a session, and what came of it."""

    def __init__(self, session: Session, model: Any = None, **request: Any):
        self.messages: list[dict[str, Any]] = []
        self.begun = asyncio.Event()  # a piece came
        self.over = asyncio.Event()
        self.job = session.begin(json.dumps(request), model, self._take)

    def _take(self, message: str) -> None:
        self.messages.append(json.loads(message))
        if "piece" in self.messages[-1]:
            self.begun.set()
        if any(name in self.messages[-1] for name in LAST):
            self.over.set()

    async def last(self) -> dict[str, Any]:
        await asyncio.wait_for(self.over.wait(), 30)
        return self.messages[-1]

    def all(self, name: str) -> list[Any]:
        return [message[name] for message in self.messages if name in message]


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """What ``webllm_py.load`` gives."""
    engine = FakeEngine()
    monkeypatch.setattr(webllm_py, "load", loader(engine))
    return engine


def loader(engine: FakeEngine) -> Callable[..., Any]:
    async def load(source: Any, *, device: Any, on_progress: Any, **options: Any) -> FakeEngine:
        if source == "wrong":
            raise errors.SourceError("not there", status=404)
        await device.before_weights()
        report = webllm_py.LoadProgress("weights", 1, 2, 3.0, "half", None, "a", {"a": 1})
        on_progress(report)
        engine.loaded_with = (source, options)  # type: ignore[attr-defined]
        engine.device = device  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return engine

    async def unload() -> None:
        engine.closed = True

    engine.unload = unload  # type: ignore[attr-defined]
    return load


@pytest.fixture
async def session(engine: FakeEngine) -> Session:
    """With a model."""
    session = Session()
    await Asked(session, "model.gguf", kind="load", options={}).last()
    return session


async def test_a_load_tells_of_its_progress_and_ends_with_the_info(engine: FakeEngine) -> None:
    options = {"context_length": 10, "fetch": {"keep": False}}
    load = Asked(Session(), ["a"], kind="load", options=options)
    assert (await load.last())["end"]["context_length"] == 64
    assert load.all("piece")[0] == {
        "stage": "weights", "loaded": 1, "total": 2,
        "bytes_per_second": 3.0, "seconds_left": None, "text": "half",
        "file": "a", "files": {"a": 1}, "problem": None,
    }  # fmt: skip
    fetch = webllm_py.FetchOptions(keep=False)
    assert engine.loaded_with[1] == {"context_length": 10, "fetch": fetch}  # type: ignore[attr-defined]


async def test_models_are_unloaded_and_the_device_stays(
    session: Session, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, closed = engine.device, []  # type: ignore[attr-defined]
    monkeypatch.setattr(device, "close", lambda: closed.append(True))
    unload = Asked(session, kind="unload", keeps_device=True)
    assert await unload.last() == {"end": None} and engine.closed and not closed
    info = (await Asked(session, kind="info").last())["error"]
    assert info["names"][0] == "EngineClosedError" and "no model is loaded" in info["message"]
    engine.closed = False
    await Asked(session, "other", kind="load", options={}).last()
    assert engine.device is device  # type: ignore[attr-defined]
    await Asked(session, kind="unload").last()
    assert engine.closed and closed


async def test_what_is_asked_while_a_model_is_loaded_waits_for_it(engine: FakeEngine) -> None:
    session = Session()
    load = Asked(session, "m", kind="load", options={})
    asked = Asked(session, kind="create", resource="chat.completions", fields=FIELDS)
    assert "end" in await asked.last() and "end" in await load.last()


async def test_an_error_keeps_its_class_its_message_and_its_fields(engine: FakeEngine) -> None:
    described = (await Asked(Session(), "wrong", kind="load", options={}).last())["error"]
    assert described["names"][:2] == ["SourceError", "WebLLMError"]
    assert described["message"] == "not there"
    assert described["fields"] == {"status": 404, "transient": False, "retry_after": None}


async def test_a_request_error_has_openai_s_fields(session: Session, engine: FakeEngine) -> None:
    engine.fails = errors.ContextLengthError("too long")
    asked = Asked(session, kind="create", resource="chat.completions", fields=FIELDS)
    assert (await asked.last())["error"]["fields"] == {
        "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
    }  # fmt: skip


async def test_without_a_model_there_is_a_named_error() -> None:
    asked = Asked(Session(), kind="create", resource="completions", fields={})
    assert (await asked.last())["error"]["names"][0] == "EngineClosedError"


async def test_a_stream_comes_in_pieces_and_ends(session: Session) -> None:
    fields = FIELDS | {"stream": True}
    asked = Asked(session, kind="create", resource="chat.completions", fields=fields)
    assert await asked.last() == {"end": None}
    assert asked.messages[0] == {"head": None}
    deltas = [piece["choices"][0]["delta"].get("content") or "" for piece in asked.all("piece")]
    assert "".join(deltas) == "Hello there"


async def test_a_cancelled_stream_leaves_the_engine_free(
    session: Session, engine: FakeEngine
) -> None:
    engine.go_on.clear()
    fields = FIELDS | {"stream": True}
    asked = Asked(session, kind="create", resource="chat.completions", fields=fields)
    await asked.begun.wait()
    asked.job.cancel()
    assert await asked.last() == {"cancelled": True}
    assert (engine.answering, engine.cut) == (0, 1)


async def test_http_is_answered_by_the_service(session: Session) -> None:
    http = {"kind": "http", "method": "POST", "path": "/v1/chat/completions", "headers": {}}
    plain = Asked(session, **http, body=json.dumps(FIELDS))
    await plain.last()
    assert plain.all("head")[0]["status"] == 200
    reply = json.loads("".join(plain.all("piece")))
    assert reply["choices"][0]["message"]["content"] == "Hello there"
    streamed = Asked(session, **http, body=json.dumps(FIELDS | {"stream": True}))
    await streamed.last()
    assert streamed.all("head")[0]["headers"]["content-type"].startswith("text/event-stream")
    assert "".join(streamed.all("piece")).endswith("data: [DONE]\n\n")


async def test_http_without_a_model_is_openai_s_error() -> None:
    asked = Asked(Session(), kind="http", method="GET", path="/v1/models", headers={}, body="")
    assert await asked.last() == {"end": None}
    assert asked.all("head")[0]["status"] == 503
    assert "no model" in json.loads(asked.all("piece")[0])["error"]["message"]


async def test_a_load_frees_the_model_before(session: Session, engine: FakeEngine) -> None:
    load = Asked(session, "other.gguf", kind="load", options={})
    await load.begun.wait()
    assert engine.closed
    engine.closed = False
    await load.last()


async def test_a_load_that_finds_no_model_leaves_the_one_before(
    session: Session, engine: FakeEngine
) -> None:
    assert "error" in await Asked(session, "wrong", kind="load", options={}).last()
    assert not engine.closed and engine.device.before_weights is None  # type: ignore[attr-defined]
    asked = Asked(session, kind="create", resource="chat.completions", fields=FIELDS)
    assert "end" in await asked.last()


async def test_models_of_a_page_share_a_device(session: Session, engine: FakeEngine) -> None:
    """Its kernels stay compiled; it is another one with another preference."""
    devices = [engine.device]  # type: ignore[attr-defined]
    for preference in (None, "low-power"):
        options = {"device": preference} if preference else {}
        await Asked(session, "other.gguf", kind="load", options=options).last()
        devices.append(engine.device)  # type: ignore[attr-defined]
    assert devices[0] is devices[1] is not devices[2]
    assert [device.preference for device in devices[1:]] == [None, "low-power"]
    wrong = Asked(session, "other.gguf", kind="load", options={"device": "loud"})
    assert "must be one of high-performance" in (await wrong.last())["error"]["message"]


async def turns() -> None:
    """As many of the event loop as anything takes that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_pieces_wait_until_some_were_taken() -> None:
    sent: list[str] = []
    job = Job(sent.append)

    async def work() -> None:
        for number in range(WINDOW + 10):
            await job.send(number, patience=60 if number < WINDOW + 4 else 0.05)

    task = job.run(work())
    await turns()
    assert len(sent) == WINDOW
    job.taken(4)
    await turns()
    assert len(sent) == WINDOW + 4
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 30)
    await asyncio.sleep(0)
    assert json.loads(sent[-1])["error"]["names"][0] == "TimeoutError"


async def test_models_that_are_kept_are_listed_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a model, and while one is loaded."""
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path))
    address = "https://example.org/made.gguf"
    record = ModelRecord(address, used=3.0).to_json()
    backend, file = webllm_py.models_store().backend, FileRecord("made.gguf", address)
    await backend.write_record(model_id(address), "", record)
    await backend.write_record(model_id(address), file.name, file.to_json())
    session = Session()
    await session._turn.acquire()
    [kept] = (await Asked(session, kind="store", action="list").last())["end"]
    assert (kept["source"], kept["used"], kept["nbytes"]) == (address, 3.0, 0)
    room = (await Asked(session, kind="store", action="room").last())["end"]
    assert room["used"] >= 0 and room["free"] > 0
    elsewhere = str(tmp_path / "elsewhere")
    assert await Asked(session, kind="store", action="list", place=elsewhere).last() == {"end": []}
    deleted = Asked(session, kind="store", action="delete", source=address)
    assert await deleted.last() == {"end": None}
    assert await Asked(session, kind="store", action="list").last() == {"end": []}
