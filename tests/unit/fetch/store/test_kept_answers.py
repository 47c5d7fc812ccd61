"""Answers that are kept while they are given, by their names."""

from __future__ import annotations

from pathlib import Path

from webllm_py.fetch.backends.folder_backend import FolderBackend
from webllm_py.fetch.store.kept_answers import AnswersStore, place_of

HEAD = dict.fromkeys(["kind", "fields", "identity", "prompts", "fingerprint"]) | {"model": "m"}
LONG = "Ответ " * 16  # of which files' names hold a part


async def test_names_of_any_kind(tmp_path: Path) -> None:
    """Those that begin alike are under way together, and each is found again with what it said."""
    names = ["fox", "../fox", "%2F %2", LONG + "1", LONG + "2"]
    store = AnswersStore(FolderBackend(tmp_path))
    under_way = []
    for number, name in enumerate(names):
        kept = await store.begin(name, HEAD)
        assert kept is not None and await store.begin(name, HEAD) is None, name
        await kept.write_head()
        await kept.write([([number, number], None, 2)])
        under_way.append(kept)
    assert await store.unfinished() == []
    for kept in under_way:
        await kept.release()
    assert {answer.name for answer in await store.unfinished()} == set(names)
    for number, name in enumerate(names):
        found = await store.find(name)
        assert found is not None and found.said == [[[number, number], None, 2]]
        await found.remove()
    assert await store.unfinished() == []


async def test_those_of_another_version_are_left_out(tmp_path: Path) -> None:
    """And the others are found."""
    store = AnswersStore(FolderBackend(tmp_path))
    for name in ("fox", "hare"):
        kept = await store.begin(name, HEAD)
        assert kept is not None
        if name == "hare":
            del kept.head["fingerprint"]
        await kept.write_head()
        await store.backend.write_record("answers", f"1 {place_of(name)}", '{"other": 1}')
        await kept.release()
    assert [answer.name for answer in await store.unfinished()] == ["fox"]
    assert await store.find("hare") is None
