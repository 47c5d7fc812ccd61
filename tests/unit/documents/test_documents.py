"""Collections: what is kept and comes back, what is found, and what models are asked."""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pdf_files import pdf_of

from webllm_py import (
    ContextLengthError,
    DocumentError,
    Documents,
    MissingPackageError,
    RequestError,
)
from webllm_py.documents.asking import CITING, READING, cited, form_for, room_for
from webllm_py.documents.reading import text_of
from webllm_py.documents.splitting import Span
from webllm_py.documents.storage import StoredDocument
from webllm_py.fetch.store.models_store import models_store

HOURS = "# Hours\n\nThe library opens at 11.\n\n# Food\n\nSoup is served at noon.\n"
FEELINGS = ("glad happy joy", "sad grief tears", "cold ice snow")


class FeelingEmbedder:
    """An engine whose vectors say which of three feelings a text has words of."""

    def __init__(self, name: str = "feelings") -> None:
        self.info = {"name": name, "quantization": "F32", "parameters": 3}
        self.embedder = SimpleNamespace(context_length=64)
        self.tokenizer = SimpleNamespace(encode=lambda text, **options: text.split())
        self.embeddings = SimpleNamespace(create=self._create)
        self.asked: list[str] = []

    async def _create(self, input: list[str]) -> Any:
        self.asked += input
        return SimpleNamespace(data=[SimpleNamespace(embedding=self.vector(t)) for t in input])

    def vector(self, text: str) -> list[float]:
        found = [float(any(w in text.lower() for w in ws.split())) for ws in FEELINGS]
        return found if any(found) else [0.1, 0.1, 0.1]


class ChatModel:
    """An engine that keeps what it is asked."""

    def __init__(self, parameters: int = 10**9, context_length: int = 2048) -> None:
        self.info = {"parameters": parameters, "context_length": context_length}
        self.tokenizer = SimpleNamespace(encode=lambda text, **options: text.split())
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self.fields: dict[str, Any] = {}

    async def _create(self, **fields: Any) -> Any:
        self.fields = fields
        message = SimpleNamespace(content="At 11 [1].")
        return SimpleNamespace(choices=[SimpleNamespace(message=message)])


async def test_what_is_added_is_found_and_stays(tmp_path: Path) -> None:
    documents = await Documents.open("notes", store=tmp_path)
    info = await documents.add("hours.md", HOURS)
    assert (info.passages, info.characters, info.embedded) == (2, len(HOURS), False)
    again = await Documents.open("notes", store=tmp_path)
    assert again.list() == documents.list() == [info]
    (found,) = await again.search("When does the library open?")
    assert (found.document, found.text) == ("hours.md", "The library opens at 11.")
    assert HOURS[found.start : found.end] == found.text == again.text("hours.md")[9:33]
    assert (found.headings, found.title) == (("Hours",), "hours.md, Hours")
    assert await (await Documents.open("other", store=tmp_path)).search("library") == []
    assert repr(again) == "Documents('notes', 1 document)"
    assert await models_store(tmp_path).list() == [], "documents are no models"


@pytest.mark.parametrize(
    ("question", "k", "named"),
    [(" ", 5, "question"), (None, 5, "question"), ("tea", 0, "k"), ("tea", 1.5, "k")],
)
async def test_what_cannot_be_searched_for(
    tmp_path: Path, question: Any, k: Any, named: str
) -> None:
    documents = await Documents.open("mine", store=tmp_path)
    with pytest.raises(RequestError) as raised:
        await documents.search(question, k)
    assert raised.value.param == named


async def test_replaced_and_removed_documents_are_gone(tmp_path: Path) -> None:
    documents = await Documents.open("notes", store=tmp_path)
    await documents.add("a", "tea and milk")
    await documents.add("a", "coffee")
    assert await documents.search("tea") == []
    await documents.remove("a")
    assert documents.list() == await documents.search("coffee") == []
    assert (await Documents.open("notes", store=tmp_path)).list() == []
    with pytest.raises(DocumentError, match="no document 'a'"):
        await documents.remove("a")


async def test_an_embedder_finds_what_shares_no_word(tmp_path: Path) -> None:
    embedder: Any = FeelingEmbedder()
    documents = await Documents.open("notes", store=tmp_path)
    for name, text in {"a": "He was full of joy.", "b": "Grief came.", "c": "Snow fell."}.items():
        await documents.add(name, text)
    assert await documents.search("Who is happy?") == []
    told: list[tuple[int, int]] = []
    await documents.use(embedder, on_progress=lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [p.document for p in await documents.search("Who is happy?")] == ["a"]
    both = await documents.search("Who fell, happy?")
    assert {p.document for p in both} == {"a", "c"}, "by meaning and by a word"
    embedder.asked.clear()
    again = await Documents.open("notes", embedder, store=tmp_path)
    assert embedder.asked == [], "the vectors were kept"
    assert all(info.embedded for info in again.list())
    other: Any = FeelingEmbedder("another")
    await again.use(other)
    assert len(other.asked) == 3, "vectors of two models cannot be compared"


@pytest.mark.parametrize("change", ["removed", "another embedder"])
async def test_a_search_goes_on_when_something_changes_meanwhile(
    tmp_path: Path, change: str
) -> None:
    model = FeelingEmbedder()
    documents = await Documents.open("notes", model, store=tmp_path)  # type: ignore[arg-type]
    await documents.add("first", "The sad library opens.")
    await documents.add("second", "The sad library closes.")

    class OtherEmbedder(FeelingEmbedder):
        def vector(self, text: str) -> list[float]:
            return [1.0, 2.0]

    async def create(input: list[str]) -> Any:
        model.embeddings.create = model._create
        if change == "removed":
            await documents.remove("first")
        else:
            await documents.use(OtherEmbedder("other"))  # type: ignore[arg-type]
        return await model._create(input)

    model.embeddings.create = create
    found = {passage.document for passage in await documents.search("sad library")}
    assert found == ({"second"} if change == "removed" else {"first", "second"})


def test_a_record_comes_back_as_it_was() -> None:
    spans = (Span(0, 2, ("A", "B")), Span(1, 3))
    stored = StoredDocument(
        "n\u00e4me", "t\u00e9xt", spans, "words 9/1", "it", array("f", [0.1, -1e-30, 2.5])
    )
    assert StoredDocument.from_json(stored.to_json()) == stored
    for damaged in (None, "", "[]", stored.to_json()[:-9], json.dumps({"version": 2})):
        assert StoredDocument.from_json(damaged) is None


async def test_sources_are_numbered_and_named(tmp_path: Path) -> None:
    documents = await Documents.open("notes", store=tmp_path)
    await documents.add("hours.md", HOURS)
    model: Any = ChatModel()
    answer = await documents.ask(model, "When does the library open, or the soup?", max_tokens=9)
    assert [source.title for source in answer.sources] == ["hours.md, Hours", "hours.md, Food"]
    (message,) = model.fields["messages"]
    assert re.search(
        r"\[1\] hours.md, Hours\nThe library opens at 11.\n\n\[2\]", message["content"]
    )
    assert message["content"].endswith("Question: When does the library open, or the soup?")
    assert model.fields["max_tokens"] == 9
    assert (answer.text, answer.cited) == ("At 11 [1].", answer.sources[:1])
    with pytest.raises(DocumentError, match="nothing was found"):
        await documents.ask(model, "Elephants?")
    with pytest.raises(RequestError, match="empty"):
        await documents.ask(model, "  ")
    with pytest.raises(RequestError, match="'messages' are made from the question"):
        await documents.ask(model, "The library?", messages=[])


async def test_as_many_sources_as_the_context_holds(tmp_path: Path) -> None:
    documents = await Documents.open("notes", store=tmp_path, passage_tokens=60, overlap_tokens=0)
    for number in range(9):
        await documents.add(f"{number}", "sun " * 40)
    answer = await documents.ask(ChatModel(context_length=400), "sun", k=9)  # type: ignore[call-overload]
    assert 1 < len(answer.sources) < 9
    with pytest.raises(ContextLengthError, match="larger context_length"):
        await documents.ask(ChatModel(context_length=160), "sun")  # type: ignore[call-overload]


def test_small_models_are_asked_as_they_were_trained() -> None:
    assert form_for({"parameters": 5_000_000}) is READING
    assert form_for({"parameters": 500_000_000}) is CITING
    assert room_for({"context_length": 2048}, {"max_tokens": 100}) == 2048 - 128 - 100
    assert room_for({"context_length": 1024}, {}) == 1024 - 128 - 256


def test_citations_are_read() -> None:
    sources: Any = ["a", "b", "c"]
    assert cited("So [3], and [1, 3] but [7] and [x].", sources) == ["a", "c"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (" \n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no text in UTF-8"),
        (b"caf\xe9", "no text in UTF-8"),
        (b"%PDF-1.7 damaged", "cannot be read as a PDF: [A-Z][a-z ]+$"),
    ],
)
async def test_what_has_no_text_is_refused(
    content: str | bytes, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content == b"%PDF-1.7 damaged":
        pytest.importorskip("pypdf")
    with pytest.raises(DocumentError, match=problem):
        await text_of("it", content)
    assert capsys.readouterr() == ("", "")


async def test_a_path_is_no_content(tmp_path: Path) -> None:
    documents = await Documents.open("notes", store=tmp_path)
    with pytest.raises(TypeError, match=r"Path.read_bytes\(\)\), not (Posix|Windows)Path"):
        await documents.add("it", tmp_path / "it.md")  # type: ignore[arg-type]


async def test_pdfs_are_read_page_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    documents = await Documents.open("notes", store=tmp_path)
    pdf = pdf_of("Tea is served at four.", "", "Coffee is at ten.")
    assert (await documents.add("menu.pdf", pdf)).passages == 2
    assert documents.text("menu.pdf").split("\f")[2].strip() == "Coffee is at ten."
    (found,) = await documents.search("coffee")
    assert (found.page, found.title) == (3, "menu.pdf, page 3")


async def test_a_scan_says_that_it_has_no_text() -> None:
    pytest.importorskip("pypdf")
    with pytest.raises(DocumentError, match="no text in its 2 pages"):
        await text_of("scan.pdf", pdf_of("", ""))


async def test_text_files_are_decoded() -> None:
    assert await text_of("it", "ä\r\nb".encode("utf-8-sig")) == "ä\nb"
    assert await text_of("it", "ä".encode("utf-16")) == "ä"


async def test_without_pypdf_a_pdf_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pypdf", None)
    with pytest.raises(MissingPackageError, match="pip install"):
        await text_of("it.pdf", b"%PDF-1.4")
