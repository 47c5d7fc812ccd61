"""Which texts and bytes ids stand for, in whichever order a definition has them."""

from __future__ import annotations

import pytest

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.added_tokens import AddedToken
from webllm_py.tokenizer.vocabulary import Vocabulary


def vocabulary(ids: dict[str, int], *added: AddedToken) -> Vocabulary:
    return Vocabulary(ids, str.encode, added, lambda token: True)


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ({"a": 0, "b": 1, "c": 2}, ["a", "b", "c", "", "<x>"]),
        ({"c": 2, "a": 0, "b": 1}, ["a", "b", "c", "", "<x>"]),
        ({"a": 0, "c": 2}, ["a", "", "c", "", "<x>"]),
        ({"f": 5, "a": 0}, ["a", "", "", "", "<x>", "f"]),
        ({}, ["", "", "", "", "<x>"]),
    ],
)
def test_ids_in_any_order_and_with_gaps(ids: dict[str, int], texts: list[str]) -> None:
    known = vocabulary(ids, AddedToken(4, "<x>"))
    assert [known.token_bytes(i).decode() for i in range(len(known))] == texts
    assert known.own == max(ids.values(), default=-1) + 1
    assert {text: known.token_id(text) for text in ids} == ids


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"a": 0, "b": 1, "c": 1}, "gives one id to two tokens"),
        ({"a": -1, "b": 0}, "ids run from -1 to 0"),
        ({"a": 0, "b": 1 << 40}, "must lie between 0 and"),
        ({"a": 0, "\ud800": 1}, "not valid Unicode"),
    ],
)
def test_ids_that_cannot_be(ids: dict[str, int], message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        vocabulary(ids)


@pytest.mark.parametrize("token_id", [-1, 1 << 40])
def test_added_ids_that_cannot_be(token_id: int) -> None:
    with pytest.raises(TokenizerError, match="must lie between 0 and"):
        vocabulary({"a": 0}, AddedToken(token_id, "<x>"))
