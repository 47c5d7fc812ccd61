"""What a page may ask of an engine beside answers, without a browser; the engine is a double."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_engine import FakeEngine
from test_session import Asked

import webllm_py
from webllm_py.errors import AdapterError
from webllm_py.fetch.store.kept_answers import Unfinished
from webllm_py.runtime.lora.adapters import LoadedAdapter
from webllm_py.web.session import Session


class Engine(FakeEngine):
    """With models and adapters beside it, and an answer that was cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.added: dict[str, Any] = {}
        self.cut_off = ["fox"]

    @property
    def models(self) -> dict[str, Any]:
        return {"fake": self, **self.added}

    def chosen(self, name: str | None) -> Any:
        return self.models[name or "fake"]

    async def add_model(self, source: Any, *, name: str, on_progress: Any, **options: Any) -> Any:
        on_progress(webllm_py.LoadProgress("weights", 1, 2, None, "half"))
        self.asked.append({"source": source, **options})

        async def unload() -> None:
            del self.added[name]

        self.added[name] = SimpleNamespace(info={"name": name}, adapters={}, unload=unload)
        return self.added[name]

    async def load_adapter(self, source: Any, *, name: str, fetch: Any = None) -> Any:
        if source == "model.gguf":
            raise AdapterError("it is no adapter")
        self.adapters[name] = LoadedAdapter(name, 0, 0, 8, 4, 100, 200, "")
        return self.adapters[name]

    async def unload_adapter(self, name: str) -> None:
        del self.adapters[name]

    async def unfinished(self) -> list[Unfinished]:
        return [Unfinished(name, "fake", 1.0, 5) for name in self.cut_off]

    async def resume(self, name: str | None = None) -> Any:
        if not self.cut_off:
            return None
        self.cut_off.remove(name or "fox")
        return await self.create(stream=True)

    async def forget(self, name: str) -> None:
        self.cut_off.remove(name)


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine()

    async def load(source: Any, *, device: Any, on_progress: Any) -> Engine:
        return found

    monkeypatch.setattr(webllm_py, "load", load)
    return found


class Page:
    """A session with that engine."""

    def __init__(self) -> None:
        self.session = Session()

    async def do(self, action: str, given: Any = None, **fields: Any) -> Asked:
        asked = Asked(self.session, given, kind="engine", action=action, **fields)
        await asked.last()
        return asked


@pytest.fixture
async def page(engine: Engine) -> Page:
    page = Page()
    await Asked(page.session, "m", kind="load", options={}).last()
    return page


def end(asked: Asked) -> Any:
    return asked.messages[-1]["end"]


async def test_models_come_and_go(page: Page, engine: Engine) -> None:
    options = {"context_length": 5, "fetch": {"keep": False}}
    added = await page.do("add_model", "b.gguf", name="second", options=options)
    assert end(added) == {"name": "second"} and added.all("piece")[0]["text"] == "half"
    fetch = webllm_py.FetchOptions(keep=False)
    assert engine.asked == [{"source": "b.gguf", "context_length": 5, "fetch": fetch}]
    models = end(await page.do("models"))
    assert [*models] == ["fake", "second"] and models["second"]["adapters"] == []
    assert end(await page.do("remove_model", name="second")) is None
    for name in ("second", "fake"):  # it is gone; it is the first one
        error = (await page.do("remove_model", name=name)).messages[-1]["error"]
        assert error["names"][0] == "RequestError" and error["fields"]["code"] == "model_not_found"


async def test_adapters_come_and_go(page: Page, engine: Engine) -> None:
    loaded = end(await page.do("load_adapter", "pirate/", name="pirate", options={}))
    assert (loaded["name"], loaded["rank"], loaded["nbytes"]) == ("pirate", 8, 200)
    assert end(await page.do("models"))["fake"]["adapters"] == ["pirate"]
    await page.do("unload_adapter", name="pirate")
    assert engine.adapters == {}
    refused = await page.do("load_adapter", "model.gguf", name="x", options={})
    assert refused.messages[-1]["error"]["names"][0] == "AdapterError"


async def test_an_answer_that_was_cut_off_is_finished(page: Page) -> None:
    assert end(await page.do("unfinished")) == [
        {"name": "fox", "model": "fake", "begun": 1.0, "tokens": 5, "text": None}
    ]
    resumed = await page.do("resume", name="fox")
    assert resumed.messages[0] == {"head": True}
    deltas = [piece["choices"][0]["delta"].get("content") or "" for piece in resumed.all("piece")]
    assert "".join(deltas) == "Hello there"
    assert (await page.do("resume")).messages == [{"head": False}, {"end": None}]


async def test_an_answer_that_was_cut_off_is_forgotten(page: Page, engine: Engine) -> None:
    await page.do("forget", name="fox")
    assert engine.cut_off == []


async def test_what_is_asked_during_a_load_waits_for_it(engine: Engine) -> None:
    session = Session()
    load = Asked(session, "m", kind="load", options={})
    asked = Asked(session, kind="engine", action="unfinished")
    await asyncio.gather(load.last(), asked.last())
    assert len(end(asked)) == 1


async def test_a_model_that_is_kept_leaves_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's half; in a browser targets are handles."""
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path))
    address = "https://example.org/made.gguf"
    session = Session()

    async def store(action: str, given: Any = None, **fields: Any) -> dict[str, Any]:
        return await Asked(session, given, kind="store", action=action, **fields).last()

    assert await store("has", source=address) == {"end": False}
    assert await store("size", source=address) == await store("size") == {"end": 0}
    for action in ("export", "import"):
        failed = await store(action, str(tmp_path / "no.tar"), source=address)
        assert failed["error"]["names"][0] == "SourceError"
