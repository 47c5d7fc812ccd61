"""Damaged files of every kind: only named errors, at once, and nothing left open."""

from __future__ import annotations

import json
import random
import struct
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from checkpoint_files import (
    SMALL_GGUF_DATA,
    MemoryFolder,
    MemorySource,
    raw_safetensors,
    safetensors_bytes,
    shared,
    small_gguf,
)

from webllm_py.checkpoint import open_checkpoint
from webllm_py.errors import (
    CorruptCheckpointError,
    MissingFileError,
    NotAModelError,
    SourceError,
    UnsupportedModelError,
)

NAMED = (
    CorruptCheckpointError,
    MissingFileError,
    NotAModelError,
    SourceError,
    UnsupportedModelError,
)
CONFIG = json.dumps({"model_type": "llama"}).encode()


async def outcome(source: Any) -> str:
    """The named error's class, or "opened"; another exception or slowness fails the test."""
    begun = time.process_time()
    try:
        checkpoint = await open_checkpoint(source)
    except NAMED as error:
        assert str(error)
        return type(error).__name__
    finally:
        assert time.process_time() - begun < 1
    await checkpoint.close()
    return "opened"


async def gguf_outcome(data: bytes, *, tells_size: bool = True) -> str:
    source = MemorySource(data, tells_size=tells_size)
    result = await outcome(source)
    assert not source.open
    return result


async def folder_outcome(weights: bytes) -> str:
    folder = MemoryFolder({"config.json": CONFIG, "model.safetensors": weights})
    result = await outcome(folder)
    assert not any(source.open for source in folder.opened)
    return result


@pytest.fixture(autouse=True)
def memory_stays_small() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


# GGUF


async def test_gguf_cut_at_every_byte() -> None:
    data = small_gguf().bytes(SMALL_GGUF_DATA)
    for size in range(len(data)):
        assert await gguf_outcome(data[:size]) == "CorruptCheckpointError"
        assert await gguf_outcome(data[:size], tells_size=False) in (
            "SourceError",
            "opened",  # where only bytes of tensors are missing, which nobody can know yet
        )
    assert await gguf_outcome(data) == "opened"


EXTREMES = {
    "B": [0, 1, 2, 127, 255],
    "I": [0, 1, 2, 8, 9, 13, 100, 2**16, 2**31 - 1, 2**31, 2**32 - 1],
    "i": [0, -1, -(2**31), 2**31 - 1],
    "Q": [0, 1, 2, 7, 33, 100, 2**16, 2**20, 2**31, 2**32, 2**40, 2**53, 2**62, 2**63, 2**64 - 1],
    "f": [0.0, float("inf"), float("nan")],
}


async def test_gguf_with_every_field_at_every_extreme() -> None:
    original = small_gguf()
    outcomes: Counter[str] = Counter()
    for _, offset, code in original.fields:
        for value in EXTREMES[code]:
            file = small_gguf()
            struct.pack_into("<" + code, file.data, offset, value)
            data = file.bytes(SMALL_GGUF_DATA, alignment=64)
            outcomes[await gguf_outcome(data)] += 1
            await gguf_outcome(data, tells_size=False)
    # what opens: fields of free value (a number, a score), and values as they were
    assert outcomes["CorruptCheckpointError"] > 5 * outcomes["opened"]
    assert outcomes["UnsupportedModelError"] > 5
    assert sum(outcomes.values()) > 400


async def test_gguf_with_random_damage() -> None:
    rng = random.Random(20)
    original = small_gguf().bytes(SMALL_GGUF_DATA)
    outcomes: Counter[str] = Counter()
    for _ in range(4000):
        outcomes[await gguf_outcome(damaged(original, rng))] += 1
    assert outcomes["CorruptCheckpointError"] > 1500 and outcomes["opened"] > 50, outcomes


async def test_real_gguf_with_random_damage() -> None:
    rng = random.Random(21)
    original = shared("checkpoints/stories260K/stories260K.gguf").read_bytes()
    head = original[:14176]
    for _ in range(300):
        data = damaged(head, rng)
        await gguf_outcome(data + original[len(data) :])


# safetensors


TENSORS = {"a.weight": ("F32", (4, 8)), "b.weight": ("F16", (3,)), "c": ("BF16", (2, 2, 2))}


async def test_safetensors_cut_at_every_byte() -> None:
    data = safetensors_bytes(TENSORS, metadata={"format": "pt"})
    for size in range(len(data)):
        assert await folder_outcome(data[:size]) == "CorruptCheckpointError"
    assert await folder_outcome(data) == "opened"


async def test_safetensors_with_every_length() -> None:
    data = safetensors_bytes(TENSORS)
    length = int.from_bytes(data[:8], "little")
    for lie in [*range(400), *(1 << bits for bits in range(9, 64)), 2**64 - 1]:
        expected = "opened" if lie == length else "CorruptCheckpointError"
        assert await folder_outcome(struct.pack("<Q", lie) + data[8:]) == expected


VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 2**31, 2**63 - 1, 2**63, 2**64, 10**400, 1.5, "", "F32", "x",
    [], [[]], {}, [0], [0, 0], [0, 128], [128, 0], [-1, 127], [0, 2**63], [True, 128], [0.0, 128.0],
    ["0", "128"], [0, 128, 256], [2**62, 2**62], [2**31] * 8, [1] * 9, [0, 8], [4, -8], [4.0, 8],
]  # fmt: skip


async def test_safetensors_with_every_field_at_every_extreme() -> None:
    original = safetensors_bytes(TENSORS)
    length = int.from_bytes(original[:8], "little")
    for field in ("dtype", "shape", "data_offsets", None):
        for value in VALUES:
            header = json.loads(original[8 : 8 + length])
            if field is None:
                header["a.weight"] = value
            else:
                header["a.weight"][field] = value
            right = (field, json.dumps(value)) in (("dtype", '"F32"'), ("data_offsets", "[0, 128]"))
            text = json.dumps(header).encode()
            result = await folder_outcome(raw_safetensors(text, original[8 + length :]))
            assert (result == "opened") == right, (field, value)


async def test_safetensors_with_random_damage() -> None:
    rng = random.Random(22)
    original = safetensors_bytes(TENSORS)
    outcomes: Counter[str] = Counter()
    for _ in range(3000):
        outcomes[await folder_outcome(damaged(original, rng))] += 1
    assert outcomes["CorruptCheckpointError"] > 1500, outcomes


async def test_config_and_index_with_random_damage() -> None:
    rng = random.Random(23)
    config = shared("checkpoints/TinyStories-656K/config.json").read_bytes()
    index = json.dumps(
        {"metadata": {"total_size": 150}, "weight_map": dict.fromkeys(TENSORS, "a.safetensors")}
    ).encode()
    template = json.dumps({"chat_template": [{"name": "default", "template": "{{ x }}"}]}).encode()
    for _ in range(1000):
        files = {
            "config.json": damaged(config, rng, 0.2),
            "model.safetensors.index.json": damaged(index, rng, 0.5),
            "tokenizer_config.json": damaged(template, rng, 0.2),
            "a.safetensors": safetensors_bytes(TENSORS),
        }
        folder = MemoryFolder(files)
        await outcome(folder)
        assert not any(source.open for source in folder.opened)


@pytest.mark.parametrize(
    "bomb", [b"[" * 500_000, b'{"a":' * 500_000, b"9" * 500_000, b'{"a": ' + b"9" * 9999 + b"}"]
)
async def test_json_bombs(bomb: bytes) -> None:
    assert await folder_outcome(raw_safetensors(bomb)) == "CorruptCheckpointError"
    assert await outcome(MemoryFolder({"config.json": bomb, "model.safetensors": b""})) == (
        "CorruptCheckpointError"
    )


def damaged(data: bytes, rng: random.Random, share: float = 1.0) -> bytes:
    """One to four changes: a byte, a run of bytes, a piece cut out, doubled or cut off."""
    if rng.random() > share:
        return data
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) or 1)
        match rng.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                changed[at : at + 8] = rng.choice([b"\xff", b"\0", b"\x7f"]) * rng.randint(1, 8)
            case 2:
                changed[at : at + 1] = (
                    bytes([changed[at] ^ 1 << rng.randrange(8)]) if changed else b""
                )
            case 3:
                del changed[at : at + rng.randint(1, 40)]
            case 4:
                changed[at:at] = changed[at : at + rng.randint(1, 40)]
            case 5 if rng.random() < 0.2:
                del changed[at:]
    return bytes(changed)
