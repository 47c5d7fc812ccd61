"""The merge engine against a plain reading of the definition, and its speed on long words."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import definitions
import pytest

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import bpe as bpe_module
from webllm_py.tokenizer import from_files
from webllm_py.tokenizer.bpe import BPE


def naive(text: str, priorities: Mapping[str, int], joiner: str) -> list[str]:
    """Join the pair of the best priority, leftmost first, until there is none."""
    symbols = list(text)
    while True:
        pairs = [
            (priorities[key], at)
            for at in range(len(symbols) - 1)
            if (key := symbols[at] + joiner + symbols[at + 1]) in priorities
        ]
        if not pairs:
            return symbols
        at = min(pairs)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


def random_table(rng: random.Random, joiner: str) -> dict[str, int]:
    """Merges of random neighbours over the letters a to d, some with equal priority."""
    known = list("abcd")
    table = {}
    for _ in range(30):
        left, right = rng.choice(known), rng.choice(known)
        table.setdefault(left + joiner + right, rng.randrange(20))
        known.append(left + right)
    return table


@pytest.mark.parametrize("joiner", ["", " "])
def test_short_and_long_words_follow_the_definition(
    joiner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(11)
    for _ in range(400):
        table = random_table(rng, joiner)
        text = "".join(rng.choice("abcd") for _ in range(rng.randrange(1, 60)))
        expected = naive(text, table, joiner)
        ids = {symbol: index for index, symbol in enumerate(dict.fromkeys(expected))}
        for long_from in (1, 1000):
            monkeypatch.setattr(bpe_module, "_LONG", long_from)
            model = BPE(ids, table, joiner)
            assert model.encode(text) == [ids[symbol] for symbol in expected]


def test_the_leftmost_of_equal_pairs_is_joined_first() -> None:
    ids = {"a": 0, "aa": 1}
    for text, expected in (("aaa", [1, 0]), ("a" * 999, [1] * 499 + [0])):
        assert BPE(ids, {"aa": 0}, "").encode(text) == expected


def test_a_word_that_is_a_token_is_taken_whole_only_if_so_defined() -> None:
    ids = {"a": 0, "b": 1, "ab": 2}
    assert BPE(ids, {}, " ").encode("ab") == [0, 1]
    assert BPE(ids, {}, " ", whole_words=True).encode("ab") == [2]


def test_unknown_symbols() -> None:
    ids = {"a": 0, "?": 1}
    byte_ids = list(range(100, 356))
    assert BPE(ids, {}, "", byte_ids=byte_ids).encode("aé") == [0, 100 + 0xC3, 100 + 0xA9]
    assert BPE(ids, {}, "", unknown_id=1).encode("xxax") == [1, 1, 0, 1]
    assert BPE(ids, {}, "", unknown_id=1, fuse_unknown=True).encode("xxax") == [1, 0, 1]
    with pytest.raises(TokenizerError, match="'x'"):
        BPE(ids, {}, "").encode("ax")


def test_remembered_words_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe_module, "_CACHED_WORDS", 10)
    model = BPE({"a": 0, "b": 1}, {}, " ")
    for length in range(1, 40):
        assert model.encode("ab" * length) == [0, 1] * length
        assert len(model._cache) <= 10
    assert all(len(word) <= 48 for word in model._cache)


LONG_UNITS = ["a", " ", "\n", "ab", "😀", "é", "1", " a", "\t\n", "中", "'", "▁", "\u0301", "A"]


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece"])
@pytest.mark.parametrize("unit", LONG_UNITS, ids=ascii)
def test_long_repetitive_text_takes_time_in_proportion(unit: str, kind: str) -> None:
    files = {
        "byte-level": definitions.as_file(definitions.byte_level_json()),
        "sentencepiece": {"tokenizer.model": definitions.sentencepiece_model()},
    }[kind]
    tokenizer = from_files(files)
    text = unit * (100_000 // len(unit.encode()))
    tokenizer.encode(text[:100])  # compile the pattern outside of the measurement

    def seconds(sample: str) -> float:
        best = float("inf")
        for _ in range(2):
            started = time.process_time()
            ids = tokenizer.encode(sample)
            best = min(best, time.process_time() - started)
        shown = sample if kind == "byte-level" else sample.replace("▁", " ")
        assert tokenizer.decode(ids) == shown
        return best

    # Ten times the text takes ten times as long, a hundred times if it were quadratic.
    assert seconds(text) < 35 * max(seconds(text[: len(text) // 10]), 0.002)
