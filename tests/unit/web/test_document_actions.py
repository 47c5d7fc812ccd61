"""Collections as a page uses them, without a browser; embedders are doubles."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import webllm_py
from webllm_py.documents import Documents
from webllm_py.web.document_actions import DocumentActions
from webllm_py.web.job import Job


class TextEmbedder:
    """An engine that gives all texts the same vector, and keeps them."""

    def __init__(self, name: str) -> None:
        self.name, self.asked, self.unloaded = name, list[str](), False
        self.info = {"name": name, "quantization": "F32", "parameters": 3}
        self.embedder = SimpleNamespace(context_length=64)
        self.tokenizer = SimpleNamespace(encode=lambda text, **options: text.split())
        self.embeddings = SimpleNamespace(create=self._create)

    async def _create(self, input: list[str]) -> Any:
        self.asked += input
        await asyncio.sleep(0)
        return SimpleNamespace(data=[SimpleNamespace(embedding=[1.0, 0.0]) for _ in input])

    async def unload(self) -> None:
        self.unloaded = True


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[TextEmbedder]:
    """What ``webllm_py.load`` gave."""
    found: list[TextEmbedder] = []

    async def load(source: str, **options: Any) -> TextEmbedder:
        await asyncio.sleep(0)
        found.append(TextEmbedder(source))
        return found[-1]

    monkeypatch.setattr(webllm_py, "load", load)
    return found


@pytest.fixture
def actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DocumentActions:
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path))
    return DocumentActions(lambda: asyncio.sleep(0))


def do(
    actions: DocumentActions, collection: str, action: str, given: Any = None, **fields: Any
) -> Any:
    return actions.do(Job(lambda message: None), collection, action, given, **fields)


async def test_a_collection_is_opened_once(
    actions: DocumentActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask for it at the same time: each sees what the others add."""
    opened, open_one = [], Documents.open

    async def slow(name: str, *given: Any) -> Documents:
        opened.append(name)
        await asyncio.sleep(0.01 * len(opened))
        return await open_one(name, *given)

    monkeypatch.setattr(Documents, "open", slow)
    names = ["a", "b", "c"]
    await asyncio.gather(
        *(do(actions, "notes", "add", name=name, text="It opens at 11.") for name in names)
    )
    listed = await do(actions, "notes", "list")
    assert [info["name"] for info in listed["documents"]] == names and opened == ["notes"]


async def test_a_collection_that_is_opened_later_has_the_embedder_as_it_was_given(
    actions: DocumentActions, loaded: list[TextEmbedder]
) -> None:
    await do(actions, "first", "add", name="a", text="one")
    assert await do(actions, "first", "use", "e5", prefixes=["query: ", "passage: "]) == "e5"
    await do(actions, "second", "add", name="b", text="two")
    await do(actions, "second", "search", question="which?")
    assert loaded[0].asked == ["passage: one", "passage: two", "query: which?"]
    assert (await do(actions, "second", "list"))["embedder"] == "e5"


async def test_embedders_that_are_wanted_at_the_same_time_follow_each_other(
    actions: DocumentActions, loaded: list[TextEmbedder]
) -> None:
    wanted = [do(actions, name, "use", name) for name in ("one", "two")]
    assert await asyncio.gather(*wanted) == ["one", "two"]
    assert [engine.unloaded for engine in loaded] == [True, False]
    assert (await do(actions, "three", "list"))["embedder"] == "two"
