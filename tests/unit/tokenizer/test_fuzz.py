"""Damaged definitions: a named error or a tokenizer that works, within a second, whatever it is."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import definitions
import pytest

from webllm_py.errors import MissingFileError, TokenizerError, UnsupportedModelError
from webllm_py.tokenizer import Tokenizer, from_files, from_gguf

NAMED = (TokenizerError, MissingFileError, UnsupportedModelError)
ROUNDS = 300
TEXT = " the low ab<|im_end|> <s>1234 é你😀\n\n  abab"
ODD_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**70, 1.5, float("nan"), "", "x", "▁", "\n", "\ud800"),
    *(
        [],
        {},
        [None],
        [[]],
        {"type": "Sequence"},
        {"a": 1},
        ["a", "b"],
        "(",
        "\\p{Zzz}",
        "[a",
        "a{9}",
    ),
]
CONFIG = {
    "tokenizer_config.json": {
        "bos_token": "<|bos|>",
        "eos_token": {"content": "<|eos|>"},
        "add_bos_token": True,
        "added_tokens_decoder": {
            str(definitions.vocab_size()): {"content": "<|bos|>", "special": True}
        },
    },
    "special_tokens_map.json": {"eos_token": "<|eos|>"},
    "generation_config.json": {"eos_token_id": [definitions.vocab_size() + 1]},
}


def survives(load: Callable[[], Tokenizer]) -> bool:
    """Whether it loads; fails unless any error is a named one and all of it is quick."""
    started = time.process_time()
    loaded = False
    try:
        tokenizer = load()
        loaded = True
        tokenizer.decode(tokenizer.encode(TEXT, add_special=True))
    except NAMED as error:
        assert str(error)
    assert time.process_time() - started < 1
    return loaded


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value: its container and the key or index there."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(items):
        yield value, key
        if isinstance(child, (dict, list)):
            yield from places(child)


def mutated(value: Any, rng: random.Random) -> Any:
    """A copy with one to three places changed, dropped, doubled or swapped."""
    value = copy.deepcopy(value)
    for _ in range(rng.randrange(1, 4)):
        # places of the steps as often as places of the large vocabulary
        every = list(places(value))
        few = [place for place in every if len(place[0]) < 20] or every
        container, key = rng.choice(rng.choice((every, few)))
        action = rng.randrange(4)
        if action == 0 and isinstance(container, list):
            container.append(container[key])
        elif action == 1:
            del container[key]
        elif action == 2:
            other, where = rng.choice(every)
            if where in other if isinstance(other, dict) else where < len(other):
                container[key] = copy.deepcopy(other[where])
        else:
            container[key] = copy.deepcopy(rng.choice(ODD_VALUES))
        if not value:
            break
    return value


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes cut, overwritten, or with a part taken out or doubled."""
    raw = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(raw) + 1)
        length = rng.choice((1, 1, 2, 8, 100))
        action = rng.randrange(4)
        if action == 0:
            del raw[at:]
        elif action == 1:
            del raw[at : at + length]
        elif action == 2:
            raw[at:at] = raw[at : at + length]
        else:
            raw[at : at + length] = rng.randbytes(min(length, len(raw) - at))
    return bytes(raw)


STEPS = {
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            {"type": "Replace", "pattern": {"Regex": "\\s"}, "content": "▁"},
            {"type": "NFC"},
        ],
    },
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}|[^\\s]"}, "behavior": "Isolated"},
            {"type": "Digits", "individual_digits": True},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        ],
    },
    "decoder": {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    },
}
JSON_DEFINITIONS = {
    "byte-level": definitions.byte_level_json(),
    "many steps": definitions.byte_level_json(**STEPS),
    "word pieces": definitions.wordpiece_json(),
    "unigram": definitions.byte_level_json(
        **STEPS,
        added_tokens=[],
        post_processor=None,
        model={
            "type": "Unigram",
            "unk_id": 0,
            "byte_fallback": True,
            "vocab": [[piece, score] for piece, score, _ in definitions.PIECES],
        },
    ),
}


@pytest.mark.parametrize("name", JSON_DEFINITIONS)
def test_mutated_tokenizer_json(name: str) -> None:
    rng = random.Random(name)
    definition = JSON_DEFINITIONS[name]
    assert survives(lambda: from_files(definitions.as_file(definition)))
    loaded = 0
    for _ in range(ROUNDS):
        files = definitions.as_file(mutated(definition, rng))
        loaded += survives(lambda files=files: from_files(files))
    assert 0 < loaded < ROUNDS  # the mutations are neither harmless nor all fatal


@pytest.mark.parametrize("name", CONFIG)
def test_mutated_small_files(name: str) -> None:
    rng = random.Random(name)
    files = definitions.as_file(definitions.byte_level_json())
    files |= {other: json.dumps(content).encode() for other, content in CONFIG.items()}
    assert survives(lambda: from_files(files))
    for _ in range(ROUNDS):
        content = json.dumps(mutated(CONFIG[name], rng)).encode()
        survives(lambda content=content: from_files(files | {name: content}))


@pytest.mark.parametrize(
    "kind", ["tokenizer.json", "sentencepiece", "unigram", "tiktoken", "vocab", "merges"]
)
def test_damaged_bytes(kind: str) -> None:
    rng = random.Random(kind)
    files, name = {
        "tokenizer.json": (definitions.as_file(definitions.byte_level_json()), "tokenizer.json"),
        "sentencepiece": (
            {"tokenizer.model": definitions.sentencepiece_model()},
            "tokenizer.model",
        ),
        "unigram": (
            {"tokenizer.model": definitions.sentencepiece_model(kind=1)},
            "tokenizer.model",
        ),
        "tiktoken": ({"tokenizer.model": definitions.tiktoken_ranks()}, "tokenizer.model"),
        "vocab": (definitions.vocab_and_merges(), "vocab.json"),
        "merges": (definitions.vocab_and_merges(), "merges.txt"),
    }[kind]
    assert survives(lambda: from_files(files))
    for _ in range(ROUNDS):
        data = damaged(files[name], rng)
        survives(lambda data=data: from_files(files | {name: data}))


@pytest.mark.parametrize(
    "make",
    [
        definitions.byte_level_gguf,
        definitions.sentencepiece_gguf,
        definitions.unigram_gguf,
        definitions.wordpiece_gguf,
    ],
)
def test_mutated_gguf_keys(make: Callable[[], dict[str, Any]]) -> None:
    rng = random.Random(make.__name__)
    assert survives(lambda: from_gguf(make()))
    for _ in range(ROUNDS):
        metadata = mutated(make(), rng)
        survives(lambda metadata=metadata: from_gguf(metadata))


def test_every_truncation_of_a_sentencepiece_model() -> None:
    data = definitions.sentencepiece_model(definitions.PIECES[:5] + definitions.PIECES[-20:])
    for length in range(len(data)):
        survives(lambda length=length: from_files({"tokenizer.model": data[:length]}))
