"""GGUF files and each thing that can be wrong with them: a named error, at once."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from checkpoint_files import (
    SMALL_GGUF_DATA,
    GGUFBytes,
    MemorySource,
    opened,
    shared,
    small_gguf,
)

from webllm_py.checkpoint import open_checkpoint
from webllm_py.checkpoint.gguf_format import TENSOR_TYPES
from webllm_py.errors import (
    CorruptCheckpointError,
    NotAModelError,
    SourceError,
    UnsupportedModelError,
)
from webllm_py.fetch.files.local import LocalFile

STORIES = "checkpoints/stories260K/stories260K.gguf"
LLAMA2 = "checkpoints/llama-2-tiny-random/llama-2-tiny-random.gguf"


def with_tensors(*tensors: tuple[str, tuple[int, ...], int, int]) -> GGUFBytes:
    file = GGUFBytes(tensors=len(tensors), keys=1)
    file.string("general.architecture", "llama")
    for tensor in tensors:
        file.tensor(*tensor)
    return file


@contextmanager
def little_time_and_memory(megabytes: float = 1.0) -> Iterator[None]:
    """Under a second of the processor, and under so many megabytes at the peak."""
    tracemalloc.start()
    begun = time.process_time()
    try:
        yield
        assert time.process_time() - begun < 1
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has only 0 bytes: it is incomplete"),
        (b"GGUF\3\0\0\0", "has only 8 bytes"),
        (b"GGUF\3\0\0\0" + bytes(8), "ends at byte 16, inside its header.* at least 24 bytes"),
    ],
)
async def test_files_that_hold_next_to_nothing(data: bytes, message: str) -> None:
    with pytest.raises(CorruptCheckpointError, match=message):
        await open_checkpoint(MemorySource(data))


async def test_versions_that_are_not_read() -> None:
    with pytest.raises(UnsupportedModelError, match="GGUF version 1; versions 2 and 3"):
        await opened(GGUFBytes(0, 0, version=1))
    with pytest.raises(UnsupportedModelError, match="GGUF version 4"):
        await opened(GGUFBytes(0, 0, version=4))
    with pytest.raises(UnsupportedModelError, match="big-endian"):
        await opened(GGUFBytes(0, 0, version=3 << 24))


@pytest.mark.parametrize("tells_size", [True, False])
@pytest.mark.parametrize(
    ("field", "count", "message"),
    [
        ("tensor count", 1 << 62, "4611686018427387904 tensors and 7 keys: not credible"),
        ("key count", 1 << 40, "3 tensors and 1099511627776 keys: not credible"),
        ("element count", 1 << 60, "array of 1152921504606846976 elements for"),
        ("length of key", 1 << 40, "key of 1099511627776 bytes"),
        ("length of key", 70_000, "key of 70000 bytes"),
        ("length of tensor name", 1 << 63, "tensor name of 9223372036854775808 bytes"),
        ("length of string", 1 << 61, "ends at byte|claims a header of"),
        ("length of element", 1 << 61, "ends at byte|claims a header of"),
        ("tensor count", 60_000, "ends at byte"),
        ("key count", 60_000, "ends at byte"),
        ("element count", 2_000_000, "ends at byte"),
    ],
)
async def test_absurd_counts_cost_neither_time_nor_memory(
    field: str, count: int, message: str, tells_size: bool
) -> None:
    file = small_gguf()
    offset = next(offset for name, offset, _ in file.fields if name == field)
    struct.pack_into("<Q", file.data, offset, count)
    source = MemorySource(file.bytes(SMALL_GGUF_DATA), tells_size=tells_size)
    with (
        little_time_and_memory(),
        pytest.raises((CorruptCheckpointError, SourceError), match=message),
    ):
        await open_checkpoint(source)
    assert not source.open


async def test_counts_that_a_big_file_can_hold_are_limited_all_the_same() -> None:
    """What a hostile file of 200 MB may claim: an array, and a header, of nearly that size."""

    class Zeros(MemorySource):
        async def size(self) -> int:
            return 200 << 20

        async def read(self, offset: int, length: int) -> bytes:
            data = self.data[offset : offset + length]
            return data + bytes(length - len(data))

    array = GGUFBytes(0, 1)
    array.array("big", 0, 100 << 20)
    string = GGUFBytes(0, 1)
    string.key("long", 8)
    string.put("length", "Q", 190 << 20)
    for file, message in ((array, "104857600 elements"), (string, "claims a header of 1992")):
        with little_time_and_memory(), pytest.raises(CorruptCheckpointError, match=message):
            await open_checkpoint(Zeros(bytes(file.data)))


async def test_nested_array_bombs() -> None:
    deep = GGUFBytes(0, 1)
    deep.array("deep", 9, 1)
    for _ in range(10_000):
        deep.put("type", "I", 9)
        deep.put("count", "Q", 1)
    with pytest.raises(CorruptCheckpointError, match="nests arrays more than 4 deep in key 'deep'"):
        await opened(deep)
    wide = GGUFBytes(0, 1)
    wide.array("wide", 9, 1_000_000)
    wide.data += struct.pack("<IQ", 0, 0) * 1_000_000
    source = MemorySource(wide.bytes())
    message = "claims an array of 1000000 elements for key 'wide'"
    with little_time_and_memory(), pytest.raises(CorruptCheckpointError, match=message):
        await open_checkpoint(source)


async def test_keys() -> None:
    file = GGUFBytes(0, 2)
    file.string("general.architecture", "llama")
    file.string("general.architecture", "qwen2")
    with pytest.raises(CorruptCheckpointError, match=r"the key 'general\.architecture' twice"):
        await opened(file)
    with pytest.raises(CorruptCheckpointError, match=r"no key general\.architecture"):
        await opened(GGUFBytes(0, 0))
    file = GGUFBytes(0, 1)
    file.key("general.architecture", 4)
    file.put("value", "I", 7)
    with pytest.raises(CorruptCheckpointError, match=r"general\.architecture is int, not a text"):
        await opened(file)
    file = GGUFBytes(0, 1)
    file.key("x", 13)
    file.put("value", "Q", 7)
    with pytest.raises(CorruptCheckpointError, match="unknown value type 13 for key 'x'"):
        await opened(file)
    file = GGUFBytes(0, 1)
    file.key("x", 7)
    file.put("value", "B", 2)
    with pytest.raises(CorruptCheckpointError, match="bool that is neither 0 nor 1 in key 'x'"):
        await opened(file)


async def test_bad_utf8() -> None:
    file = GGUFBytes(0, 1)
    file.string("name", b"\xff\xfe")
    with pytest.raises(CorruptCheckpointError, match="bad UTF-8 in key 'name'"):
        await opened(file)
    file = GGUFBytes(0, 1)
    file.array("tokens", 8, 3)
    for text in (b"ok", b"\xc3", b"ok"):
        file.text("element", text)
    with pytest.raises(CorruptCheckpointError, match="bad UTF-8 in string 1 of key 'tokens'"):
        await opened(file)
    file = GGUFBytes(0, 1)
    file.key(b"\x80", 4)
    file.put("value", "I", 7)
    with pytest.raises(CorruptCheckpointError, match="bad UTF-8 in a key"):
        await opened(file)


@pytest.mark.parametrize("alignment", [0, 1, 12, 4294967295])
async def test_bad_alignment(alignment: int) -> None:
    file = GGUFBytes(0, 2)
    file.string("general.architecture", "llama")
    file.key("general.alignment", 4)
    file.put("value", "I", alignment)
    with pytest.raises(CorruptCheckpointError, match=rf"alignment is {alignment}; a multiple of 8"):
        await opened(file)


@pytest.mark.parametrize(
    ("tensors", "data", "message"),
    [
        ([("a", (8,), 0, 0), ("a", (8,), 0, 32)], 64, "the tensor 'a' twice"),
        ([("a", (), 0, 0)], 64, "claims 0 dimensions for tensor 'a'"),
        ([("a", (1, 1, 1, 1, 1), 0, 0)], 64, "claims 5 dimensions for tensor 'a'"),
        ([("a", (8, 0), 0, 0)], 64, r"'a' of dimensions \[8, 0\] has a dimension of 0"),
        ([("a", (1 << 32, 1 << 32), 0, 0)], 64, "more elements than 2"),
        ([("a", (2**64 - 1,) * 4, 0, 0)], 64, "more elements than 2"),
        ([("a", (33, 2), 8, 0)], 99, r"not whole blocks of 32 \(Q8_0\)"),
        ([("a", (128, 2), 12, 0)], 144, r"not whole blocks of 256 \(Q4_K\)"),
        ([("a", (8,), 0, 5)], 64, "'a' lies at offset 5, which is not a multiple of 32"),
        ([("a", (8,), 0, 0), ("b", (8,), 0, 0)], 64, "'b' overlaps tensor 'a'"),
        ([("b", (8,), 0, 32), ("a", (64,), 0, 0)], 512, "'b' overlaps tensor 'a'"),
        (
            [("a", (8,), 0, 0), ("b", (8,), 0, 32)],
            63,
            r"incomplete: .* 'b' .*\(1 bytes are missing",
        ),
        ([("a", (8,), 0, 2**64 - 32)], 64, "incomplete"),
        ([("a", (1 << 40,), 0, 0)], 64, "incomplete"),
    ],
)
async def test_bad_tensors(
    tensors: list[tuple[str, tuple[int, ...], int, int]], data: int, message: str
) -> None:
    with pytest.raises(CorruptCheckpointError, match=message):
        await opened(with_tensors(*tensors), data)


async def test_formats_that_are_not_run_are_all_named() -> None:
    file = with_tensors(
        ("a", (256,), 16, 0), ("b", (256,), 29, 160), ("c", (256,), 16, 384), ("d", (8,), 0, 544),
        ("e", (8,), 99, 576), ("f", (256,), 14, 608),
    )  # fmt: skip
    with pytest.raises(
        UnsupportedModelError,
        match=r"IQ2_XXS \(2 tensors\), IQ1_M \(1 tensors\), type 99 \(unknown\) \(1 tensors\)\. It "
        "runs F32, F16, BF16, Q4_0, .*, MXFP4: take the model's Q4_K_M or Q8_0 file",
    ):
        await opened(file, 999)


def test_type_numbers() -> None:
    """From ggml.h, as gguf-py 0.19 has them."""
    assert [TENSOR_TYPES[n] for n in (0, 1, 2, 3, 8, 30)] == [
        "F32", "F16", "Q4_0", "Q4_1", "Q8_0", "BF16",
    ]  # fmt: skip
    assert [TENSOR_TYPES[n] for n in (6, 10, 14, 16, 20, 23, 28, 29, 35, 39, 41)] == [
        "Q5_0", "Q2_K", "Q6_K", "IQ2_XXS", "IQ4_NL", "IQ4_XS", "F64", "IQ1_M", "TQ2_0", "MXFP4",
        "Q1_0",
    ]  # fmt: skip
    assert not {4, 5, 31, 32, 33, 36, 37, 38} & TENSOR_TYPES.keys()


@pytest.mark.parametrize(
    ("key", "type", "code", "value", "message"),
    [
        ("split.count", 2, "H", 3, "part 1 of a model split into 3 files.*llama-gguf-split"),
        ("general.type", 8, "", "adapter", "GGUF file of type 'adapter', not a model"),
    ],
)
async def test_other_kinds(key: str, type: int, code: str, value: Any, message: str) -> None:
    file = GGUFBytes(0, 2)
    file.string("general.architecture", "llama")
    file.key(key, type)
    file.text("value", value) if type == 8 else file.put("value", code, value)
    with pytest.raises((NotAModelError, UnsupportedModelError), match=message):
        await opened(file)


async def test_truncated_real_file() -> None:
    data = shared(STORIES).read_bytes()
    for size in (500, 14_000, 14_200, len(data) - 1):
        source = MemorySource(data[:size])
        with pytest.raises(CorruptCheckpointError, match=f"ends at byte {size}"):
            await open_checkpoint(source)
        assert not source.open


async def test_local_file_is_closed_on_failure(tmp_path: Any) -> None:
    (tmp_path / "bad.gguf").write_bytes(small_gguf().bytes(10))
    source = LocalFile(tmp_path / "bad.gguf")
    with pytest.raises(CorruptCheckpointError):
        await open_checkpoint(source)
    with pytest.raises(SourceError, match="was closed"):
        await source.read(0, 1)
