"""One tokenizer from every kind of file, and what the small files beside it say."""

from __future__ import annotations

import json
from typing import Any

import definitions
import pytest

from webllm_py.errors import MissingFileError, TokenizerError, UnsupportedModelError
from webllm_py.tokenizer import Tokenizer, from_files, from_gguf

BOS, EOS, IM_END = range(definitions.vocab_size(), definitions.vocab_size() + 3)
ADDED = {text: BOS + index for index, text in enumerate(definitions.SPECIALS)}
CONFIG = {"bos_token": "<|bos|>", "eos_token": {"content": "<|eos|>"}, "add_bos_token": True}


def as_json(**contents: Any) -> dict[str, bytes]:
    return {f"{name}.json": json.dumps(content).encode() for name, content in contents.items()}


def byte_level_tokenizers() -> dict[str, Tokenizer]:
    small = as_json(
        tokenizer_config=CONFIG | {"additional_special_tokens": ["<|im_end|>"]},
        added_tokens=ADDED,
    )
    vocab_and_merges = definitions.vocab_and_merges()
    older_names = {
        "encoder.json": vocab_and_merges["vocab.json"],
        "vocab.bpe": vocab_and_merges["merges.txt"],
    }
    return {
        "tokenizer.json": from_files(
            definitions.as_file(definitions.byte_level_json()) | as_json(tokenizer_config=CONFIG)
        ),
        "vocab.json": from_files(vocab_and_merges | small),
        "encoder.json": from_files(older_names | small),
        "gguf": from_gguf(definitions.byte_level_gguf(add_bos_token=True)),
    }


@pytest.mark.parametrize("kind", ["tokenizer.json", "vocab.json", "encoder.json", "gguf"])
def test_byte_level_bpe_from_every_kind_of_file(kind: str) -> None:
    tokenizer = byte_level_tokenizers()[kind]
    assert tokenizer.vocab_size == IM_END + 1
    assert (tokenizer.bos_id, tokenizer.eos_id) == (BOS, EOS)
    assert (tokenizer.add_bos, tokenizer.add_eos) == (True, False)
    assert tokenizer.special_ids == {BOS, EOS, IM_END}
    assert tokenizer.end_ids == ({EOS, IM_END} if kind == "gguf" else {EOS})
    text = "ab the low  <|im_end|>é"
    space = tokenizer.token_id("Ġ")
    expected = [
        *(tokenizer.token_id(piece) for piece in ("ab", "Ġthe", "Ġlow", "ĠĠ")),
        *(IM_END, 0xC3, 0xA9),
    ]
    assert space == 0x20
    assert tokenizer.encode(text) == expected
    assert tokenizer.encode(text, add_special=True) == [BOS, *expected]
    assert tokenizer.decode(expected) == text
    assert tokenizer.token_bytes(0xC3) == b"\xc3"
    assert tokenizer.token_bytes(IM_END) == b"<|im_end|>"
    assert tokenizer.token_id("<|im_end|>") == IM_END
    assert tokenizer.token_id("nothing of the kind") is None


@pytest.mark.parametrize("kind", ["tokenizer.model", "gguf"])
def test_sentencepiece_from_every_kind_of_file(kind: str) -> None:
    if kind == "gguf":
        tokenizer = from_gguf(definitions.sentencepiece_gguf())
    else:
        tokenizer = from_files({"tokenizer.model": definitions.sentencepiece_model()})
    names = {piece: index for index, (piece, _, _) in enumerate(definitions.PIECES)}
    assert tokenizer.vocab_size == len(names)
    assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    assert (tokenizer.add_bos, tokenizer.add_eos) == (True, False)
    assert tokenizer.special_ids == {0, 1, 2}
    pieces = ["▁the", "▁▁", "abab", "é", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0x0A>", "<user>"]
    ids = [names[piece] for piece in pieces]
    text = "the  abab é😀\n<user>".replace(" é", "é")
    assert tokenizer.encode(text) == ids
    assert tokenizer.encode(text, add_special=True) == [1, *ids]
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode("") == []
    # the text of a control or byte token is no such token
    assert tokenizer.special_ids.isdisjoint(tokenizer.encode("<s></s>", parse_special=False))
    assert names["<0x41>"] not in tokenizer.encode("<0x41>")
    assert tokenizer.encode("<s>the") == [1, names["▁the"]]


def test_sentencepiece_s_space_before_text_behind_special_tokens() -> None:
    files = {"tokenizer.model": definitions.sentencepiece_model()}
    legacy = from_files(files)
    current = from_files(files | as_json(tokenizer_config={"legacy": False}))
    the = legacy.token_id("▁the")
    assert legacy.encode("the<s>the") == [the, 1, the]
    assert current.encode("the<s>the") == [the, 1, *map(current.token_id, ("t", "he"))]


def test_sentencepiece_that_collapses_spaces() -> None:
    files = {"tokenizer.model": definitions.sentencepiece_model(collapse_spaces=True)}
    tokenizer = from_files(files)
    assert tokenizer.decode(tokenizer.encode("  the   abab  ")) == "the abab"
    assert tokenizer.encode("   ") == []


def test_tiktoken_ranks() -> None:
    tokenizer = from_files({"tokenizer.model": definitions.tiktoken_ranks()})
    assert tokenizer.vocab_size == definitions.vocab_size()
    text = "ab the low  é"
    pieces = ("ab", "Ġthe", "Ġlow", "Ġ", "Ġ", "Ã", "©")
    assert tokenizer.encode(text) == [tokenizer.token_id(piece) for piece in pieces]
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_merges_with_carriage_returns_and_without_a_version_line() -> None:
    files = definitions.vocab_and_merges()
    plain = from_files(files)
    lines = files["merges.txt"].removeprefix(b"#version: 0.2\n")
    windows = from_files(files | {"merges.txt": lines.replace(b"\n", b"\r\n")})
    assert windows.encode(" the low") == plain.encode(" the low")


def test_merges_as_pairs_may_hold_spaces() -> None:
    model = {
        "type": "BPE",
        "vocab": {"a": 0, "b": 1, " ": 2, "a ": 3, "a b": 4, " b": 5},
        "merges": [["a", " "], ["a ", "b"]],
    }
    definition = definitions.byte_level_json(
        model=model, pre_tokenizer=None, decoder=None, added_tokens=[], post_processor=None
    )
    tokenizer = from_files(definitions.as_file(definition))
    assert tokenizer.encode("a b") == [4]
    assert tokenizer.encode(" b") == [2, 1]


@pytest.mark.parametrize(
    ("contents", "bos", "eos", "ends", "adds"),
    [
        ({}, None, None, set(), (False, False)),
        ({"tokenizer_config": CONFIG}, BOS, EOS, {EOS}, (True, False)),
        (
            {"tokenizer_config": CONFIG | {"add_bos_token": False, "add_eos_token": True}},
            *(BOS, EOS, {EOS}, (False, True)),
        ),
        (
            {"special_tokens_map": {"bos_token": "<|bos|>", "eos_token": "<|im_end|>"}},
            *(BOS, IM_END, {IM_END}, (True, False)),
        ),
        (
            {
                "tokenizer_config": {"bos_token": None, "eos_token": "<|eos|>"},
                "generation_config": {"bos_token_id": BOS, "eos_token_id": [IM_END, EOS]},
            },
            *(None, EOS, {EOS, IM_END}, (False, False)),
        ),
        (
            {"generation_config": {"eos_token_id": [IM_END, EOS]}, "config": {"eos_token_id": 1}},
            *(None, IM_END, {EOS, IM_END}, (False, False)),
        ),
        (
            {"config": {"bos_token_id": BOS, "eos_token_id": EOS, "vocab_size": 5}},
            *(BOS, EOS, {EOS}, (True, False)),
        ),
        ({"config": {"eos_token_id": 99_999}}, None, None, set(), (False, False)),
    ],
)
def test_roles_from_the_small_files(
    contents: dict[str, Any],
    bos: int | None,
    eos: int | None,
    ends: set[int],
    adds: tuple[bool, bool],
) -> None:
    files = definitions.as_file(definitions.byte_level_json()) | as_json(**contents)
    tokenizer = from_files(files)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.end_ids) == (bos, eos, ends)
    assert (tokenizer.add_bos, tokenizer.add_eos) == adds
    if bos is None:
        # the template's own token is put there, whatever its role
        assert tokenizer.encode("a", add_special=True)[0] == BOS
    else:
        expected = [*[BOS] * adds[0], 0x61, *[EOS] * adds[1]]
        assert tokenizer.encode("a", add_special=True) == expected


def test_the_config_s_flags_of_an_added_token_win() -> None:
    spec = {"content": "<|im_end|>", "rstrip": True, "special": True}
    config = {"added_tokens_decoder": {str(IM_END): spec, "900": {"content": "<new>"}}}
    files = definitions.as_file(definitions.byte_level_json()) | as_json(tokenizer_config=config)
    tokenizer = from_files(files)
    assert tokenizer.encode("<|im_end|>  a<new>") == [IM_END, 0x61, 900]
    assert tokenizer.vocab_size == 901
    assert tokenizer.token_bytes(500) == b""  # an id that nothing defines


def test_ids_beyond_the_vocabulary() -> None:
    tokenizer = from_files(definitions.as_file(definitions.byte_level_json()))
    for token_id in (-1, tokenizer.vocab_size, 2**40):
        with pytest.raises(TokenizerError, match=str(token_id)):
            tokenizer.token_bytes(token_id)
        with pytest.raises(TokenizerError, match=str(token_id)):
            tokenizer.decode([0x61, token_id])


def test_a_lone_surrogate_is_refused() -> None:
    tokenizer = from_files(definitions.as_file(definitions.byte_level_json()))
    with pytest.raises(TokenizerError, match="position 2"):
        tokenizer.encode("ab\ud83d")


def test_what_is_no_text_or_no_ids() -> None:
    tokenizer = from_files(definitions.as_file(definitions.byte_level_json()))
    for text in (None, b"ab", 5):
        with pytest.raises(TypeError, match="must be a string, not"):
            tokenizer.encode(text)  # type: ignore[arg-type]
    for ids in ("ab", b"ab", 5, None):
        with pytest.raises(TypeError, match="token ids, not"):
            tokenizer.decode(ids)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "names", [(), ("config.json",), ("vocab.json",), ("merges.txt",), ("vocab.bpe",)]
)
def test_missing_files_are_named(names: tuple[str, ...]) -> None:
    every = definitions.vocab_and_merges() | {"config.json": b"{}", "vocab.bpe": b""}
    missing = {
        (): "tokenizer.json",
        ("config.json",): "tokenizer.json",
        ("vocab.json",): "merges.txt",
        ("merges.txt",): "vocab.json",
        ("vocab.bpe",): "encoder.json",
    }[names]
    with pytest.raises(MissingFileError, match=missing):
        from_files({name: every[name] for name in names})


PIECES = definitions.PIECES


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"tokenizer.json": b"{"}, "tokenizer.json is not valid JSON"),
        ({"tokenizer.json": b"[]"}, "must be an object"),
        ({"tokenizer.json": b"\xff"}, "tokenizer.json is not valid JSON"),
        ({"tokenizer.json": b"[" * 100_000}, "tokenizer.json is not valid JSON"),
        ({"tokenizer.json": b"{}"}, "'model'"),
        ({"tokenizer.model": b""}, "no pieces"),
        ({"tokenizer.model": definitions.sentencepiece_model()[:-3]}, "truncated"),
        ({"tokenizer.model": definitions.sentencepiece_model([*PIECES, PIECES[5]])}, "twice"),
        (
            {"tokenizer.model": definitions.sentencepiece_model([("a", float("nan"), 1)])},
            "not a number",
        ),
        ({"tokenizer.model": b"IQ== 0\nIg== 2\n"}, "without a gap"),
        ({"tokenizer.model": b"IQ== 0\nIQ== 1\n"}, "twice"),
        ({"tokenizer.model": b"IQ== 0\nIg== x\n"}, "tiktoken"),
        ({"tokenizer.model": b"IQ== 0\nI 1\n"}, "tiktoken"),
        (definitions.vocab_and_merges() | {"merges.txt": b"\xff"}, "merges.txt is not UTF-8"),
        (definitions.vocab_and_merges() | {"merges.txt": b"a b c\n"}, "'a b c'"),
        (
            definitions.vocab_and_merges() | as_json(tokenizer_config={"eos_token": "<|gone|>"}),
            r"<\|gone\|>",
        ),
        (definitions.vocab_and_merges() | as_json(added_tokens={"<x>": 5}), "contradict"),
        (definitions.vocab_and_merges() | as_json(added_tokens={"ab": 500}), "contradict"),
        (
            definitions.as_file(
                definitions.byte_level_json(
                    added_tokens=[definitions.added("x!", 300), definitions.added("x!", 301)]
                )
            ),
            "two ids",
        ),
        (definitions.vocab_and_merges() | as_json(config=[]), "config.json"),
    ],
)
def test_damaged_files_are_named(files: dict[str, bytes], named: str) -> None:
    with pytest.raises(TokenizerError, match=named):
        from_files(files)


@pytest.mark.parametrize(("kind", "name"), [(3, "word"), (4, "character")])
def test_other_sentencepiece_models_are_named(kind: int, name: str) -> None:
    with pytest.raises(UnsupportedModelError, match=name):
        from_files({"tokenizer.model": definitions.sentencepiece_model(kind=kind)})
