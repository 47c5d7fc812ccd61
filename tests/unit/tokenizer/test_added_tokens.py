"""Added tokens with the flags of tokenizer.json; expected pieces are those of tokenizers 0.23."""

from __future__ import annotations

import json
from typing import Any

import definitions
import pytest

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import Tokenizer, from_files

FIRST = definitions.vocab_size() + len(definitions.SPECIALS)


def with_tokens(*tokens: tuple[str, dict[str, bool]], **changes: Any) -> Tokenizer:
    definition = definitions.byte_level_json(**changes)
    definition["added_tokens"] += [
        definitions.added(text, FIRST + index, **flags)
        for index, (text, flags) in enumerate(tokens)
    ]
    return from_files(definitions.as_file(definition))


def pieces(tokenizer: Tokenizer, text: str, **options: bool) -> list[str]:
    return [tokenizer.token_bytes(index).decode() for index in tokenizer.encode(text, **options)]


@pytest.mark.parametrize(
    ("flags", "text", "expected"),
    [
        ({}, "a<x>b", ["a", "<x>", "b"]),
        ({}, "a <x> b", ["a", " ", "<x>", " ", "b"]),
        ({}, "<x><x>", ["<x>", "<x>"]),
        ({}, "<x", ["<", "x"]),
        ({"lstrip": True}, "a  <x>  b", ["a", "<x>", " ", " ", "b"]),
        ({"lstrip": True}, " <x>", ["<x>"]),
        ({"lstrip": True}, "a\n\t<x>", ["a", "<x>"]),
        ({"lstrip": True}, "<x> <x>", ["<x>", "<x>"]),
        ({"rstrip": True}, "a  <x>  b", ["a", "  ", "<x>", "b"]),
        ({"rstrip": True}, "<x>\u3000 \n", ["<x>"]),
        ({"rstrip": True}, "<x> <x>", ["<x>", "<x>"]),
        ({"lstrip": True, "rstrip": True}, "a  <x>  b", ["a", "<x>", "b"]),
    ],
)
def test_white_space_around(flags: dict[str, bool], text: str, expected: list[str]) -> None:
    assert pieces(with_tokens(("<x>", flags)), text) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("kw", 1),
        ("a kw b", 1),
        ("kw.", 1),
        ("kw kw", 2),
        ("akw", 0),
        ("kw_", 0),
        ("kw1", 0),
        ("ékw", 0),
        ("kw\u200d", 0),
    ],
)
def test_single_words(text: str, count: int) -> None:
    tokenizer = with_tokens(("kw", {"single_word": True}))
    assert tokenizer.encode(text).count(FIRST) == count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("xyzw", ["xyz", "w"]),
        ("xyw", ["xy", "w"]),
        ("ayzw", ["a", "yzw"]),
        ("xyxyzyzw", ["xy", "xyz", "yzw"]),
        ("<|im_end|>!", ["<|im_end|>!"]),
        ("<|im_end|>?", ["<|im_end|>", "?"]),
    ],
)
def test_the_leftmost_and_then_the_longest_is_found(text: str, expected: list[str]) -> None:
    tokenizer = with_tokens(("xy", {}), ("xyz", {}), ("yzw", {}), ("<|im_end|>!", {}))
    assert pieces(tokenizer, text) == expected


@pytest.mark.parametrize(
    ("normalizer", "text", "expected"),
    [
        ({"type": "NFC"}, "<N>a<R>", ["<N>", "a", "<R>"]),
        ({"type": "NFC"}, "ae\u0301", ["a", "e\u0301"]),
        ({"type": "NFC"}, "a é", ["a", " ", "e\u0301"]),
        ({"type": "Prepend", "prepend": "x"}, "<N>a", ["<N>", "a"]),
        ({"type": "Prepend", "prepend": "x"}, "a<N>", ["x", "a", "<", "N", ">"]),
        ({"type": "Prepend", "prepend": "x"}, "<R>a<R>", ["<R>", "x", "a", "<R>"]),
        ({"type": "Lowercase"}, "A<n><N><r>", ["a", "<N>", "<N>", "<", "r", ">"]),
    ],
)
def test_tokens_in_normalized_text(
    normalizer: dict[str, str], text: str, expected: list[str]
) -> None:
    tokenizer = with_tokens(
        ("<N>", {"normalized": True}),
        ("<R>", {}),
        ("e\u0301", {"normalized": True}),
        normalizer=normalizer,
    )
    assert pieces(tokenizer, text) == expected


def test_special_tokens_can_be_plain_text() -> None:
    tokenizer = with_tokens(("<tool>", {}))
    text = "<|im_end|><tool>"
    assert pieces(tokenizer, text) == ["<|im_end|>", "<tool>"]
    plain = pieces(tokenizer, text, parse_special=False)
    assert plain[-1] == "<tool>"  # added, but not special
    assert "".join(plain[:-1]) == "<|im_end|>" and len(plain) > 5
    assert tokenizer.special_ids.isdisjoint(tokenizer.encode(text, parse_special=False))


def test_a_token_outside_of_the_byte_alphabet_stands_for_its_text() -> None:
    tokenizer = with_tokens(("é Ġ", {}), ("<｜end▁of｜>", {"special": True}))
    assert tokenizer.encode("é Ġ<｜end▁of｜>") == [FIRST, FIRST + 1]
    assert tokenizer.decode([FIRST, FIRST + 1]) == "é Ġ<｜end▁of｜>"
    assert tokenizer.decode([FIRST, FIRST + 1], skip_special=True) == "é Ġ"


def test_tokens_that_the_model_has_no_row_for_are_plain_text() -> None:
    """Models of Gemma 3 that read text only have 262,144 rows, and an added token 262,144."""
    tokenizer = with_tokens(("<image_soft_token>", {"special": True}))
    text = "<|im_end|><image_soft_token>"
    tokenizer.fit(FIRST)
    assert tokenizer.vocab_size == FIRST
    assert tokenizer.token_id("<image_soft_token>") is None
    ids = tokenizer.encode(text)
    assert ids[0] == FIRST - 1 and max(ids[1:]) < FIRST
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special=True) == "<image_soft_token>"
    with pytest.raises(TokenizerError, match="no token"):
        tokenizer.token_bytes(FIRST)


def test_rows_that_a_model_must_have() -> None:
    """Those of what begins or ends texts among them; more than these stand for nothing."""
    tokenizer = with_tokens(("<x>", {}), ("<|last|>", {"special": True}))
    assert tokenizer.needed == definitions.vocab_size() + 1  # up to <|bos|>
    files = definitions.as_file(definitions.byte_level_json())
    files["tokenizer_config.json"] = json.dumps({"eos_token": "<|im_end|>"}).encode()
    assert from_files(files).needed == FIRST
    tokenizer.fit(FIRST + 9)
    assert tokenizer.token_bytes(FIRST + 8) == b"" and tokenizer.encode("<x>") == [FIRST]
