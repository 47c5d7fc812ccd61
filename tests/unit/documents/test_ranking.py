"""Words, BM25 and fusion, against numbers computed by hand."""

from __future__ import annotations

import random
from math import log

import pytest

from webllm_py.documents.bm25 import BM25
from webllm_py.documents.fusion import fused
from webllm_py.documents.words import count_tokens, query_words, words


def test_scores_are_those_computed_by_hand() -> None:
    index: BM25[str] = BM25()  # k1 = 1.2, b = 0.75
    for key, text in {"a": "cat sat mat", "b": "cat cat dog", "c": "one two three"}.items():
        index.add(key, text.split())
    # All are of the mean length. dog is in 1 of 3: ln(1 + 2.5 / 1.5); cat in 2: ln(1 + 1.5 / 2.5).
    # A count of 1 weighs 2.2 / 2.2, of 2 it weighs 4.4 / 3.2.
    found = dict(index.rank(["cat", "dog"]))
    assert found == pytest.approx({"b": 0.980829 + 1.375 * 0.470004, "a": 0.470004}, abs=1e-6)
    assert [key for key, _ in index.rank(["cat", "dog"])] == ["b", "a"]


def test_long_texts_count_less() -> None:
    index: BM25[int] = BM25()
    index.add(2, ["sun", "x"])
    index.add(4, ["sun", "y", "y", "y"])
    # The mean is 3: 1 + 1.2 * (0.25 + 0.75 * 2 / 3) is 1.9, and with 4 / 3 it is 2.5.
    assert index.rank(["sun"]) == [
        (2, pytest.approx(log(1.2) * 2.2 / 1.9)),
        (4, pytest.approx(log(1.2) * 2.2 / 2.5)),
    ]


def test_what_was_removed_or_replaced_leaves_no_trace() -> None:
    draw = random.Random(1)
    changed: BM25[int] = BM25()
    last = {}
    for _ in range(200):
        key, text = draw.randrange(20), draw.choices("abcdefg", k=draw.randrange(1, 9))
        changed.add(key, text)
        last[key] = text
        if draw.random() < 0.3:
            changed.remove(key)
            del last[key]
    fresh: BM25[int] = BM25()
    for key, text in last.items():
        fresh.add(key, text)
    assert dict(changed.rank("abcg")) == pytest.approx(dict(fresh.rank("abcg")))
    for key in last:
        changed.remove(key)
    assert changed.rank("abc") == []


def test_fusion_adds_reciprocal_ranks() -> None:
    found = fused([["a", "b", "c"], ["c", "d"]])
    expected = {"c": 1 / 63 + 1 / 61, "a": 1 / 61, "b": 1 / 62, "d": 1 / 62}
    assert dict(found) == pytest.approx(expected) and found[0][0] == "c"
    assert fused([]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cats' COLOURS, naïve", ["cat", "colour", "naive"]),
        ("stories buses class gas is", ["story", "buse", "class", "gas", "is"]),
        ("v2.0 snake_case", ["v2", "0", "snake", "case"]),
        ("Straße ＡＢＣ", ["strasse", "abc"]),
        ("東京都 x", ["東京", "京都", "x"]),
        ("한국어 ガ", ["한국어", "ガ"]),
    ],
)
def test_words_are_folded(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_questions_lose_what_every_question_has() -> None:
    assert query_words("What is the capital of the capital?") == ["capital"]
    assert query_words("Who are you?") == ["who", "are", "you"]


def test_tokens_are_estimated() -> None:
    assert count_tokens("one two three") == 4
    assert count_tokens("One, two, three.") == 4
    assert count_tokens("a" * 6000) > 2000, "a number in base64, say"
    assert count_tokens("🦊🐻" * 100) == 200
    assert count_tokens("-" * 80) == 1
