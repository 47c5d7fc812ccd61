"""WordPiece from every kind of file, and what comes of words without tokens."""

from __future__ import annotations

import json
from typing import Any

import definitions
import pytest

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import Tokenizer, from_files, from_gguf
from webllm_py.tokenizer.wordpiece import WordPiece

KINDS = ["tokenizer.json", "vocab.txt", "gguf"]
TOKENS = definitions.WORD_PIECES


def tokenizer_from(kind: str) -> Tokenizer:
    if kind == "gguf":
        return from_gguf(definitions.wordpiece_gguf())
    if kind == "vocab.txt":
        return from_files({"vocab.txt": "\n".join([*TOKENS, ""]).encode()})
    return from_files(definitions.as_file(definitions.wordpiece_json()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("The embedding", ["the", "em", "##bed", "##ding"]),
        ("embed,THE!", ["em", "##bed", ",", "the", "!"]),
        ("thé the\u0301\u00adthe", ["the", "the", "##the"]),
        ("bedding", ["[UNK]"]),  # no word begins with it
        ("the\tthez the", ["the", "[UNK]", "the"]),
        ("the中the", ["the", "中", "the"]),
        ("the [MASK]bed", ["the", "[MASK]", "[UNK]"]),
        ("[mask]", ["[UNK]", "[UNK]", "[UNK]"]),
        ("the" * 33, ["the", *["##the"] * 32]),
        ("the" * 34, ["[UNK]"]),
    ],
)
def test_words(kind: str, text: str, tokens: list[str]) -> None:
    tokenizer = tokenizer_from(kind)
    ids = [TOKENS.index(token) for token in tokens]
    assert tokenizer.encode(text) == ids
    around = [TOKENS.index("[CLS]"), *ids, TOKENS.index("[SEP]")]
    assert tokenizer.encode(text, add_special=True) == around


@pytest.mark.parametrize("kind", KINDS)
def test_back_to_text(kind: str) -> None:
    tokenizer = tokenizer_from(kind)
    ids = tokenizer.encode("the embedding the", add_special=True)
    assert tokenizer.decode(ids, skip_special=True) == "the embedding the"
    assert tokenizer.vocab_size == len(TOKENS)
    assert tokenizer.token_id("##bed") == TOKENS.index("##bed")


def test_special_tokens_that_are_plain_text() -> None:
    tokenizer = tokenizer_from("tokenizer.json")
    unknown = TOKENS.index("[UNK]")
    assert tokenizer.encode("[CLS]", parse_special=False) == [unknown] * 3


@pytest.mark.parametrize("changes", [{"do_lower_case": False}, {"strip_accents": False}])
def test_case_and_accents_as_the_small_file_says(changes: dict[str, bool]) -> None:
    vocabulary = "\n".join([*TOKENS, "The", "thé"]).encode()
    config = json.dumps(changes).encode()
    tokenizer = from_files({"vocab.txt": vocabulary, "tokenizer_config.json": config})
    kept = {"do_lower_case": "The", "strip_accents": "thé"}[next(iter(changes))]
    assert tokenizer.encode(kept) == [tokenizer.token_id(kept)]


def test_a_gguf_vocabulary_with_capitals_keeps_them() -> None:
    tokens = [*definitions.wordpiece_gguf()["tokenizer.ggml.tokens"], "▁The"]
    types = [*definitions.wordpiece_gguf()["tokenizer.ggml.token_type"], 1]
    tokenizer = from_gguf(definitions.wordpiece_gguf(tokens=tokens, token_type=types))
    assert tokenizer.encode("The the") == [len(TOKENS), TOKENS.index("the")]


@pytest.mark.parametrize(
    ("vocabulary", "named"), [(b"a\nb\n", "WordPiece"), (b"\xff", "UTF-8"), (b"", "WordPiece")]
)
def test_what_is_no_vocabulary(vocabulary: bytes, named: str) -> None:
    with pytest.raises(TokenizerError, match=named):
        from_files({"vocab.txt": vocabulary})


def test_an_unknown_word_without_an_unknown_token() -> None:
    model = WordPiece({"a": 0}, None)
    assert model.encode("a") == [0]
    for word in ("b", "ab", "a" * 101):
        with pytest.raises(TokenizerError, match="unknown token"):
            model.encode(word)


def test_a_vocabulary_without_a_role_for_its_special_tokens() -> None:
    metadata: dict[str, Any] = definitions.wordpiece_gguf()
    for role in ("cls", "seperator", "unknown"):
        del metadata[f"tokenizer.ggml.{role}_token_id"]
    expected = [TOKENS.index(token) for token in ("[CLS]", "[UNK]", "[SEP]")]
    assert from_gguf(metadata).encode("xyz", add_special=True) == expected
