"""Merge tables: what definitions may write, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.merges import from_merges

IDS = {
    token: i for i, token in enumerate(["a", "b", "ab", "\n", "a\n", "abb", "b a", "Ġé", "Ġ", "é"])
}


@pytest.mark.parametrize(
    ("merges", "joiner"),
    [
        ([], " "),
        (["a b"], " "),
        (["a b", "ab b", "Ġ é"], " "),
        (["a \n", "a b"], " "),
        ([["a", "b"], ["a", "\n"]], " "),
    ],
)
def test_tables(merges: list[Any], joiner: str) -> None:
    priorities, found = from_merges(merges, IDS)
    written = [merge if isinstance(merge, str) else joiner.join(merge) for merge in merges]
    assert (priorities, found) == ({merge: i for i, merge in enumerate(written)}, joiner)


def test_tokens_with_spaces_have_another_joiner() -> None:
    ids = {**IDS, "b ab": 20}
    priorities, joiner = from_merges([["b a", "b"]], ids)
    assert joiner != " " and priorities == {f"b a{joiner}b": 0}


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        (["a b", "ab"], "the merge 'ab' must be two tokens"),
        (["a b", "a b b"], "the merge 'a b b' must be two tokens"),
        (["a b b", "ab"], "the merge 'a b b' must be two tokens"),
        (["a b\na b", "a", "a b"], "must be two tokens"),
        (["a b", ""], "the merge '' must be two tokens"),
        (["a b", 7], "must all be strings"),
        (["a b", ["a", "b"]], "must all be strings"),
        ([["a", "b"], "a b"], "must be a pair of strings"),
        (["a b", "b b"], "name 'bb', which is not in its vocabulary"),
        (["a c"], "name 'c', which is not in its vocabulary"),
        (["a \ud800"], "not in its vocabulary"),
    ],
)
def test_what_is_refused(merges: list[Any], message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        from_merges(merges, IDS)


def test_merges_of_tokens_in_a_row_are_all_looked_at() -> None:
    """As in GPT-2's vocabulary; in parts, each of which may have what is wrong."""
    made = [f"t{i}u" for i in range(20_000)]
    ids = {token: i for i, token in enumerate(["u", *(f"t{i}" for i in range(20_000)), *made])}
    merges = [f"t{i} u" for i in range(20_000)]
    assert from_merges(merges, ids) == ({merge: i for i, merge in enumerate(merges)}, " ")
    for wrong in ("t7u", "t7  u", " t7u", "t7 v"):
        for at in (0, 9_000, 19_999):
            with pytest.raises(TokenizerError, match=r"must be two tokens|not in its vocabulary"):
                from_merges([*merges[:at], wrong, *merges[at + 1 :]], ids)
