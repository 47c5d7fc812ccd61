"""Damages inputs by chance and repeatably: bytes, texts and JSON values."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["damaged_bytes", "damaged_json", "damaged_text", "damaged_value"]

INTERESTING = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
COUNTS = (1, 1, 1, 2, 3)  # of changes
ODD_TEXTS = (
    "",
    "\0",
    " ",
    "\ud800",
    "🎉",
    "x" * 2000,
    "(",
    "[a",
    "a{99999}",
    "(a+)+$",
    "..",
    "-1",
    "1e999",
    "NaN",
)
ODD_NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    2**31,
    2**53 + 1,
    2**70,
    10**30,
)
ODD_VALUES: tuple[Any, ...] = (
    *ODD_TEXTS, *ODD_NUMBERS, None, True, False, [], {}, [[]], [None], [{}], {"type": "Sequence"},
    {"": ""}, ["a", "b"], {"a": {"b": [1]}}, [[[[[[[[]]]]]]]], list(range(300)),
)  # fmt: skip


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to three changes: cut, bits and numbers overwritten, parts dropped, doubled or moved."""
    raw = bytearray(data)
    for _ in range(rng.choice(COUNTS)):
        at = rng.randrange(len(raw) + 1)
        length = rng.choice((1, 2, 4, 8, 16, 64, 500))
        match rng.randrange(7):
            case 0:
                del raw[at:]
            case 1:
                del raw[at : at + length]
            case 2:
                raw[at:at] = raw[at : at + length]
            case 3 if at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            case 4:
                width = rng.choice((1, 2, 4, 8))
                number = rng.choice(INTERESTING) & ((1 << 8 * width) - 1)
                raw[at : at + width] = number.to_bytes(width, "little")
            case 5:
                other = rng.randrange(len(raw) + 1)
                raw[at : at + length] = raw[other : other + length]
            case 6:
                raw[at : at + length] = rng.randbytes(length)
    return bytes(raw)


def damaged_text(text: str, words: tuple[str, ...], rng: random.Random) -> str:
    """One to three changes: parts dropped, doubled, moved, or replaced by a word."""
    for _ in range(rng.choice(COUNTS)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice((0, 1, 2, 5, 20, 200)))
        other = rng.randrange(len(text) + 1)
        inserted = rng.choice(("", text[at:end] * 2, text[other : other + 20], rng.choice(words)))
        text = text[:at] + inserted + text[end:]
    return text


def damaged_value(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one to three places changed, dropped, doubled or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice(COUNTS)):
        every = list(places(value))
        if not every:
            return copy.deepcopy(rng.choice(ODD_VALUES))
        # Places of what is said once as often as places of a large vocabulary.
        few = [place for place in every if len(place[0]) < 20] or every
        container, key = rng.choice(rng.choice((every, few)))
        other, where = rng.choice(every)
        match rng.randrange(6):
            case 0 if isinstance(container, list):
                container.append(copy.deepcopy(container[key]))
            case 1:
                del container[key]
            case 2:
                container[key] = copy.deepcopy(other[where])
            case 3 if isinstance(container, dict):
                container[rng.choice(ODD_TEXTS)] = container.pop(key)
            case 4 if isinstance(container[key], (int, float)):
                container[key] = rng.choice(
                    (container[key] + 1, -container[key], container[key] * 2**20)
                )
            case _:
                container[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return value


def damaged_json(value: Any, rng: random.Random) -> bytes:
    """JSON of a damaged value, or damaged JSON."""
    if rng.random() < 0.2:
        return damaged_bytes(json.dumps(value).encode(), rng)
    return json.dumps(damaged_value(value, rng)).encode("utf-8", "surrogatepass")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place inside a JSON value: its container, and the key or index there."""
    if not isinstance(value, (dict, list)):
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(items):
        yield value, key
        yield from places(child)
