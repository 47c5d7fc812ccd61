"""Round trips and incremental decoding, on seeded random texts."""

from __future__ import annotations

import random

import definitions
import pytest

from webllm_py.tokenizer import Tokenizer, from_files, from_gguf

SCRIPTS = (
    *((0x20, 0x7E), (0xA0, 0x17F), (0x370, 0x52F), (0x600, 0x6FF), (0x900, 0x97F)),
    *((0x1780, 0x17FF), (0x2000, 0x206F), (0x4E00, 0x4FFF), (0xAC00, 0xACFF), (0xFE00, 0xFEFF)),
    *((0x1F300, 0x1F9FF), (0x20000, 0x200FF), (0x10FF00, 0x10FFFF), (0, 0x1F)),
)


def random_text(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randrange(12)):
        low, high = rng.choice(SCRIPTS)
        parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randrange(1, 5))))
        parts.append(rng.choice(["", " ", "  ", "\n", " the", "abab", " <|im_end|>"]))
    return "".join(parts)


def tokenizers() -> dict[str, Tokenizer]:
    return {
        "byte-level": from_files(definitions.as_file(definitions.byte_level_json())),
        "tiktoken": from_files({"tokenizer.model": definitions.tiktoken_ranks()}),
        "sentencepiece": from_gguf(definitions.sentencepiece_gguf()),
    }


@pytest.mark.parametrize("name", ["byte-level", "tiktoken", "sentencepiece"])
def test_decoding_what_was_encoded_gives_the_text(name: str) -> None:
    tokenizer = tokenizers()[name]
    rng = random.Random(1)
    for _ in range(1000):
        text = random_text(rng)
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("name", ["byte-level", "sentencepiece"])
def test_a_stream_gives_whole_characters_as_soon_as_they_are_complete(name: str) -> None:
    tokenizer = tokenizers()[name]
    rng = random.Random(2)
    for _ in range(500):
        text = random_text(rng).replace("\ufffd", "")
        decoder = tokenizer.decoder(skip_special=False)
        raw = b""
        given = ""
        for index in tokenizer.encode(text):
            raw += tokenizer.token_bytes(index)
            given += decoder.push(index)
            # exactly the characters whose bytes are all there: none broken, none held back
            whole = raw.decode(errors="ignore")
            assert given == (whole.removeprefix(" ") if name == "sentencepiece" else whole)
        assert decoder.flush() == ""
        assert given == text


@pytest.mark.parametrize("name", ["byte-level", "sentencepiece"])
def test_a_stream_of_any_ids_is_what_decode_gives(name: str) -> None:
    tokenizer = tokenizers()[name]
    rng = random.Random(3)
    for _ in range(1000):
        ids = [rng.randrange(tokenizer.vocab_size) for _ in range(rng.randrange(12))]
        for skip in (False, True):
            decoder = tokenizer.decoder(skip_special=skip)
            streamed = "".join(map(decoder.push, ids)) + decoder.flush()
            shown = [index for index in ids if not (skip and index in tokenizer.special_ids)]
            whole = b"".join(map(tokenizer.token_bytes, shown)).decode(errors="replace")
            expected = whole.removeprefix(" ") if name == "sentencepiece" else whole
            assert streamed == tokenizer.decode(ids, skip_special=skip) == expected


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    tokenizer = tokenizers()["byte-level"]
    assert tokenizer.decode([0xFF]) == "\ufffd"
    assert tokenizer.decode([0xE4, 0xBD]) == "\ufffd"
    assert tokenizer.decode([0xE4, 0xBD, 0x61]) == "\ufffda"
    decoder = tokenizer.decoder()
    assert [decoder.push(0xE4), decoder.push(0x61), decoder.push(0xF0)] == ["", "\ufffda", ""]
    assert decoder.flush() == "\ufffd"
    assert decoder.flush() == ""


def test_hidden_tokens_do_not_break_a_character() -> None:
    tokenizer = tokenizers()["byte-level"]
    (special,) = tokenizer.encode("<|im_end|>")
    ids = [0xC3, special, 0xA9]
    assert tokenizer.decode(ids, skip_special=True) == "é"
    assert tokenizer.decode(ids) == "\ufffd<|im_end|>\ufffd"


def test_a_stream_that_continues_a_text_keeps_its_first_space() -> None:
    tokenizer = tokenizers()["sentencepiece"]
    the = tokenizer.token_id("▁the")
    assert the is not None
    assert tokenizer.decoder().push(the) == "the"
    decoder = tokenizer.decoder(continues=True)
    assert [decoder.push(the), decoder.push(the)] == [" the", " the"]
