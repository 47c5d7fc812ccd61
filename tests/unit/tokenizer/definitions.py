"""Small tokenizers, written out by hand in every file kind, for tests that need no data."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

# The byte-level alphabet, here spelled as GPT-2's paper code orders it: printable bytes first.
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
ALPHABET = {byte: chr(byte) for byte in PRINTABLE} | {
    byte: chr(0x100 + index) for index, byte in enumerate(OTHERS)
}

MERGES = ["Ġ t", "h e", "Ġt he", "l o", "l l", "o w", "Ġ lo", "Ġlo w", "a b", "ab ab", "Ġ Ġ"]
BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": True,
    "trim_offsets": True,
    "use_regex": True,
}
SPECIALS = ["<|bos|>", "<|eos|>", "<|im_end|>"]


def byte_level_vocab() -> dict[str, int]:
    """256 bytes, then the merged tokens."""
    tokens = [ALPHABET[byte] for byte in range(256)]
    tokens += [merge.replace(" ", "") for merge in MERGES]
    return {token: index for index, token in enumerate(tokens)}


def added(text: str, token_id: int, **flags: bool) -> dict[str, Any]:
    """An entry of tokenizer.json's added_tokens."""
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"id": token_id, "content": text} | {name: flags.get(name, False) for name in names}


def byte_level_json(**changes: Any) -> dict[str, Any]:
    """A tokenizer.json of byte-level BPE: ids 0-255 are the bytes."""
    vocab = byte_level_vocab()
    return {
        "version": "1.0",
        "added_tokens": [
            added(text, len(vocab) + index, special=True) for index, text in enumerate(SPECIALS)
        ],
        "normalizer": None,
        "pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<|bos|>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {"<|bos|>": {"id": "<|bos|>", "ids": [vocab_size()], "tokens": []}},
        },
        "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "vocab": vocab, "merges": MERGES},
    } | changes


def vocab_size() -> int:
    """Tokens of the byte-level vocabulary without the special ones."""
    return 256 + len(MERGES)


def as_file(definition: dict[str, Any]) -> dict[str, bytes]:
    """The files of a tokenizer.json."""
    return {"tokenizer.json": json.dumps(definition).encode()}


# --- SentencePiece

# Pieces in order of id, with score and type (1 normal, 2 unknown, 3 control, 4 user-defined,
# 6 byte).
PIECES: list[tuple[str, float, int]] = [
    ("<unk>", 0.0, 2),
    ("<s>", 0.0, 3),
    ("</s>", 0.0, 3),
    *((f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)),
    ("▁t", -1.0, 1),
    ("he", -2.0, 1),
    ("▁the", -3.0, 1),
    ("ab", -4.0, 1),
    ("abab", -5.0, 1),
    ("▁▁", -6.0, 1),
    *((char, -100.0 - index, 1) for index, char in enumerate("▁abcdehiklmnorstuwé你")),
    ("<user>", 0.0, 4),
]


def sentencepiece_model(
    pieces: list[tuple[str, float, int]] = PIECES, *, collapse_spaces: bool = False, kind: int = 2
) -> bytes:
    """A tokenizer.model: pieces, a trainer with the model type, a normalizer."""
    trainer = _varint_field(3, kind) + _varint_field(40, 0)
    trainer += _varint_field(41, 1) + _varint_field(42, 2)
    normalizer = _bytes_field(1, b"identity") + _varint_field(3, 1)
    normalizer += _varint_field(4, int(collapse_spaces))
    messages = b"".join(
        _bytes_field(
            1,
            _bytes_field(1, text.encode())
            + struct.pack("<Bf", 2 << 3 | 5, score)
            + _varint_field(3, piece_type),
        )
        for text, score, piece_type in pieces
    )
    return messages + _bytes_field(2, trainer) + _bytes_field(3, normalizer)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


# --- other kinds


def tiktoken_ranks() -> bytes:
    """The byte-level vocabulary as tiktoken ranks."""
    to_byte = {char: byte for byte, char in ALPHABET.items()}
    lines = (
        b"%s %d\n" % (base64.b64encode(bytes(to_byte[char] for char in token)), rank)
        for token, rank in byte_level_vocab().items()
    )
    return b"".join(lines)


def vocab_and_merges() -> dict[str, bytes]:
    """The byte-level vocabulary as vocab.json and merges.txt."""
    return {
        "vocab.json": json.dumps(byte_level_vocab()).encode(),
        "merges.txt": "\n".join(["#version: 0.2", *MERGES, ""]).encode(),
    }


def byte_level_gguf(**changes: Any) -> dict[str, Any]:
    """GGUF metadata of the byte-level vocabulary, with its special tokens."""
    tokens = [*byte_level_vocab(), *SPECIALS]
    keys: dict[str, Any] = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [1] * vocab_size() + [3] * len(SPECIALS),
        "merges": list(MERGES),
        "bos_token_id": vocab_size(),
        "eos_token_id": vocab_size() + 1,
    }
    return {f"tokenizer.ggml.{name}": value for name, value in (keys | changes).items()}


def sentencepiece_gguf(**changes: Any) -> dict[str, Any]:
    """GGUF metadata of the SentencePiece vocabulary."""
    keys: dict[str, Any] = {
        "model": "llama",
        "tokens": [text for text, _, _ in PIECES],
        "scores": [score for _, score, _ in PIECES],
        "token_type": [piece_type for _, _, piece_type in PIECES],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }
    return {f"tokenizer.ggml.{name}": value for name, value in (keys | changes).items()}


def unigram_gguf(**changes: Any) -> dict[str, Any]:
    """The same pieces as a Unigram vocabulary."""
    return sentencepiece_gguf(model="t5", precompiled_charsmap=[4, 0, 0, 0, 0, 0, 0, 0], **changes)


# --- WordPiece

WORD_PIECES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("the", "em", "##bed", "##ding", "##the", ",", "!", "中", "##!"),
]
WORD_SPECIALS = WORD_PIECES[:5]


def wordpiece_json(**changes: Any) -> dict[str, Any]:
    """A tokenizer.json as BERT's is."""
    return {
        "version": "1.0",
        "added_tokens": [
            added(text, index, special=True) for index, text in enumerate(WORD_SPECIALS)
        ],
        "normalizer": {"type": "BertNormalizer", "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: index for index, token in enumerate(WORD_PIECES)},
        },
    } | changes


def wordpiece_gguf(**changes: Any) -> dict[str, Any]:
    """GGUF metadata of the WordPiece vocabulary."""
    keys: dict[str, Any] = {
        "model": "bert",
        "tokens": [
            piece
            if piece in WORD_SPECIALS
            else piece[2:]
            if piece.startswith("##")
            else "▁" + piece
            for piece in WORD_PIECES
        ],
        "token_type": [3] * 5 + [1] * (len(WORD_PIECES) - 5),
        "unknown_token_id": 1,
        "cls_token_id": 2,
        "seperator_token_id": 3,
    }
    return {f"tokenizer.ggml.{name}": value for name, value in (keys | changes).items()}
