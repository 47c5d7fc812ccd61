"""Unigram against sentencepiece and tokenizers: tests/fixtures/make_tokenizers.py asked them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import definitions
import pytest

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import Tokenizer, from_files, from_gguf
from webllm_py.tokenizer.protobuf import fields
from webllm_py.tokenizer.unigram import Unigram

FIXTURE = json.loads((Path(__file__).parents[2] / "fixtures" / "unigram.json").read_text("utf-8"))


def gguf_of(data: bytes) -> dict[str, Any]:
    """What a converter writes into a GGUF file."""
    pieces: list[dict[int, Any]] = []
    normalizer: dict[int, Any] = {}
    for number, value in fields(memoryview(data)):
        if number == 1:
            pieces.append(dict(fields(value)))  # type: ignore[arg-type]
        elif number == 3:
            normalizer = dict(fields(value))  # type: ignore[arg-type]
    keys = {
        "model": "t5",
        "tokens": [str(piece[1], "utf-8") for piece in pieces],
        "scores": [memoryview(bytes(piece[2])).cast("f")[0] for piece in pieces],
        "token_type": [piece.get(3, 1) for piece in pieces],
        "unknown_token_id": 0,
        "eos_token_id": 2,
        "precompiled_charsmap": list(bytes(normalizer[2])),
        "remove_extra_whitespaces": bool(normalizer.get(4, 1)),
    }
    return {f"tokenizer.ggml.{name}": value for name, value in keys.items()}


def tokenizer_from(kind: str, trained: dict[str, Any]) -> Tokenizer:
    model = base64.b64decode(trained["model"])
    if kind == "gguf":
        return from_gguf(gguf_of(model))
    if kind == "tokenizer.model":
        return from_files({"tokenizer.model": model})
    return from_files(definitions.as_file(trained["tokenizer.json"]))


@pytest.mark.parametrize("kind", ["tokenizer.model", "gguf", "tokenizer.json"])
@pytest.mark.parametrize("name", FIXTURE)
def test_every_text_is_exact(name: str, kind: str) -> None:
    trained = FIXTURE[name]
    tokenizer = tokenizer_from(kind, trained)
    for case in trained["cases"]:
        text = case["text"]
        if kind == "tokenizer.json":
            assert tokenizer.encode(text, add_special=True) == case["tokenizers"], text
        else:
            if kind == "gguf" and "<mask>" in text:
                continue  # its user-defined tokens are cut out before spaces are written
            found = tokenizer.encode(text, parse_special=False)
            assert found == case["sentencepiece"], text


@pytest.mark.parametrize("kind", ["tokenizer.model", "gguf", "tokenizer.json"])
def test_what_is_put_around_a_text_and_the_way_back(kind: str) -> None:
    tokenizer = tokenizer_from(kind, FIXTURE["bytes"])
    ids = tokenizer.encode("the quick text 漢", add_special=True)
    around = {"tokenizer.model": ([], []), "gguf": ([], [2]), "tokenizer.json": ([1], [2])}[kind]
    assert (ids[:1] == [1], ids[-1:] == [2]) == (bool(around[0]), bool(around[1]))
    if kind != "tokenizer.json":  # its decoder knows no byte tokens
        assert tokenizer.decode(ids, skip_special=True) == "the quick text 漢"


def test_the_best_sum_wins_not_the_longest_token() -> None:
    scores = {"a": -1.0, "b": -1.0, "ab": -2.5, "abc": -9.0, "c": -1.5}
    model = Unigram(scores, {piece: index for index, piece in enumerate(scores)}, least=-9.0)
    assert model.encode("abc") == [0, 1, 4]
    with pytest.raises(TokenizerError, match="unknown token"):
        model.encode("abd")


def test_a_score_that_is_no_number() -> None:
    with pytest.raises(TokenizerError, match="not a number"):
        Unigram({"a": float("nan")}, {"a": 0})


def test_damaged_rules() -> None:
    metadata = gguf_of(base64.b64decode(FIXTURE["unknown"]["model"]))
    rules = metadata["tokenizer.ggml.precompiled_charsmap"]
    for damaged in (rules[:3], rules[:9], [255] * 8, "abc", 8):
        with pytest.raises(TokenizerError):
            from_gguf(metadata | {"tokenizer.ggml.precompiled_charsmap": damaged})
    # a trie that points outside of itself ends there
    size = int.from_bytes(bytes(rules[:4]), "little")
    wild = [*rules[:4], *[255] * size, *rules[4 + size :]]
    tokenizer = from_gguf(metadata | {"tokenizer.ggml.precompiled_charsmap": wild})
    assert tokenizer.encode("the text") == tokenizer.encode("the text")
