"""GGUFWriter: byte for byte what the specification says, and read back as written."""

from __future__ import annotations

import io
import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from checkpoint_files import MemorySource, small_gguf

from webllm_py.checkpoint import FORMATS, Checkpoint, GGUFWriter, ValueType, open_checkpoint


async def read_back(writer: GGUFWriter) -> Checkpoint:
    file = io.BytesIO()
    assert writer.write(file) == len(file.getvalue())
    return await open_checkpoint(MemorySource(file.getvalue()))


def minimal() -> GGUFWriter:
    writer = GGUFWriter()
    writer.add("general.architecture", "llama")
    return writer


def test_same_bytes_as_a_file_put_together_by_hand() -> None:
    writer = GGUFWriter()
    writer.add("general.architecture", "llama")
    writer.add("llama.block_count", 2)
    writer.add("llama.use_parallel_residual", True)
    writer.add("tokenizer.ggml.tokens", ["a", "é", ""])
    writer.add("tokenizer.ggml.scores", [0.5, -1.0, 2.0])
    writer.add("nested", [[-1, 7]])
    writer.add("general.alignment", 32)
    writer.add_tensor("a.weight", (8, 4), "F32", [bytes(100), bytes(28)])
    writer.add_tensor("b.weight", (2, 32), "Q8_0", [b"q" * 68])
    writer.add_tensor("c.weight", (16,), "F16", iter([b"h" * 32]))
    by_hand = small_gguf(alignment=32)
    data = bytes(128) + b"q" * 68 + bytes(28) + b"h" * 32
    file = io.BytesIO()
    writer.write(file)
    assert file.getvalue() == by_hand.bytes() + data


async def test_alignment() -> None:
    writer = GGUFWriter(alignment=128)
    writer.add("general.architecture", "llama")
    writer.add_tensor("a", (3,), "F32", [b"a" * 12])
    writer.add_tensor("b", (3,), "F32", [b"b" * 12])
    a, b = (await read_back(writer)).tensors.values()
    assert a.offset % 128 == 0 and b.offset == a.offset + 128
    assert await b.source.read(b.offset, 12) == b"b" * 12


INTEGERS = [
    (0, ValueType.UINT32), (2**32 - 1, ValueType.UINT32), (-1, ValueType.INT32),
    (-(2**31), ValueType.INT32), (2**32, ValueType.UINT64), (2**64 - 1, ValueType.UINT64),
    (-(2**31) - 1, ValueType.INT64), (-(2**63), ValueType.INT64),
]  # fmt: skip


@pytest.mark.parametrize(("value", "type"), INTEGERS)
async def test_smallest_type_that_holds_an_integer(value: int, type: ValueType) -> None:
    one, explicit = minimal(), minimal()
    one.add("x", value)
    explicit.add("x", value, type)
    files = io.BytesIO(), io.BytesIO()
    one.write(files[0])
    explicit.write(files[1])
    assert files[0].getvalue() == files[1].getvalue()
    assert (await read_back(one)).metadata["x"] == value


@pytest.mark.parametrize("type", [t for t in ValueType if t is not ValueType.ARRAY])
async def test_every_type_alone_and_in_arrays(type: ValueType) -> None:
    value: Any = {ValueType.STRING: "Zoë 中文", ValueType.BOOL: True}.get(type, 100)
    writer = minimal()
    writer.add("one", value, type)
    writer.add("many", [value] * 3, type)
    writer.add("none", [], type)
    writer.add("nested", [[value], [], [value, value]], type)
    metadata = (await read_back(writer)).metadata
    assert metadata["one"] == value
    assert metadata["many"] == [value] * 3
    assert metadata["none"] == []
    assert metadata["nested"] == [[value], [], [value, value]]
    assert isinstance(metadata["one"], str | bool | int | float)


@pytest.mark.parametrize("format", FORMATS)
async def test_tensors_of_every_format(format: str) -> None:
    random_bytes = random.Random(3).randbytes
    layout = FORMATS[format]
    k = max(32, layout.block_size)
    shapes = {"a": (3, 2 * k), "b": (k,), "c": (2, 5, 3 * k), "d": (1, 2, 3, k)}
    written = {}
    writer = minimal()
    for name, shape in shapes.items():
        elements = 1
        for dimension in shape:
            elements *= dimension
        written[name] = random_bytes(elements // layout.block_size * layout.block_bytes)
        pieces = [written[name][:7], written[name][7:7], written[name][7:]]
        writer.add_tensor(name, shape, format, pieces)
    checkpoint = await read_back(writer)
    assert {name: tensor.shape for name, tensor in checkpoint.tensors.items()} == shapes
    for name, tensor in checkpoint.tensors.items():
        assert tensor.format is layout and tensor.offset % 32 == 0
        assert await tensor.source.read(tensor.offset, tensor.nbytes) == written[name]


async def test_big_files_are_streamed() -> None:
    """400 MB pass through with less than 3 MB held."""

    class Sink(io.RawIOBase):
        total = 0

        def write(self, data: Any) -> int:
            self.total += len(data)
            return len(data)

    def megabytes(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield bytes(1 << 20)

    writer = minimal()
    for i in range(4):
        writer.add_tensor(f"{i}", (25, 1 << 20), "F32", megabytes(100))
    sink = Sink()
    tracemalloc.start()
    try:
        assert writer.write(sink) == sink.total  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 3e6
    finally:
        tracemalloc.stop()
    assert sink.total > 400 << 20


def test_refuses_what_would_make_a_bad_file() -> None:
    writer = minimal()
    with pytest.raises(ValueError, match=r"key 'general\.architecture' is there already"):
        writer.add("general.architecture", "x")
    for value in ([], [1, "a"], None, b"x", [[]], 2**64, [2**63, -1]):
        with pytest.raises(ValueError, match=r"type of .* is not clear"):
            writer.add("x", value)
    writer.add_tensor("a", (2, 32), "Q8_0", [bytes(67)])
    with pytest.raises(ValueError, match="tensor 'a' is there already"):
        writer.add_tensor("a", (2, 32), "Q8_0", [])
    for shape in ((), (1, 1, 1, 1, 32), (0, 32), (2, 33)):
        with pytest.raises(ValueError, match="not possible in Q8_0"):
            writer.add_tensor("b", shape, "Q8_0", [])
    with pytest.raises(ValueError, match="tensor 'a' needs 68 bytes, its data has 67"):
        writer.write(io.BytesIO())
    for alignment in (0, 4, 12):
        with pytest.raises(ValueError, match="multiple of 8"):
            GGUFWriter(alignment=alignment)
