"""Sources in memory; GGUF and safetensors files put together byte by byte, without our writer."""

from __future__ import annotations

import builtins
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.errors import CheckpointError, MissingFileError, SourceError

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def shared(path: str) -> Path:
    """A file of the test data that nobody here wrote; skips the test where it is absent."""
    if not (DATA / path).exists():
        pytest.skip(f"the shared test data is missing: {DATA / path}")
    return DATA / path


class MemorySource:
    """A ``ByteSource`` over bytes that keeps a log of what was read and whether it was closed."""

    def __init__(self, data: bytes, name: str = "model.gguf", *, tells_size: bool = True):
        self.name = name
        self.data = data
        self.tells_size = tells_size
        self.reads: list[tuple[int, int]] = []
        self.open = True

    async def size(self) -> int | None:
        return len(self.data) if self.tells_size else None

    async def read(self, offset: int, length: int) -> bytes:
        assert self.open
        self.reads.append((offset, length))
        if offset + length > len(self.data):
            raise SourceError(f"{self.name} ends at byte {len(self.data)}")
        return self.data[offset : offset + length]

    async def read_chunk(self, offset: int, length: int) -> bytes:
        return await self.read(offset, length)

    async def read_all(self, limit: int) -> bytes:
        if len(self.data) > limit:
            raise SourceError(f"{self.name} has more than {limit} bytes")
        return await self.read(0, len(self.data))

    async def pause(self) -> None:
        pass

    async def close(self) -> None:
        self.open = False


class MemoryFolder:
    """A ``Folder`` over bytes that remembers the sources it opened."""

    def __init__(
        self, files: Mapping[str, bytes], name: str = "/models/tiny", *, lists: bool = True
    ):
        self.name = name
        self.files = files
        self.lists = lists
        self.opened: list[MemorySource] = []

    async def open(self, filename: str) -> MemorySource:
        if filename not in self.files:
            raise MissingFileError(f"{self.name} holds no {filename}")
        self.opened.append(MemorySource(self.files[filename], f"{self.name}/{filename}"))
        return self.opened[-1]

    async def exists(self, filename: str) -> bool:
        return filename in self.files

    async def list(self) -> builtins.list[str] | None:
        return sorted(self.files) if self.lists else None


class GGUFBytes:
    """A GGUF file field by field; ``fields`` says where each one lies, to damage it."""

    def __init__(self, tensors: int, keys: int, *, version: int = 3, magic: bytes = b"GGUF"):
        self.data = bytearray(magic)
        self.fields: list[tuple[str, int, str]] = []  # name, offset, struct code
        self.put("version", "I", version)
        self.put("tensor count", "Q", tensors)
        self.put("key count", "Q", keys)

    def put(self, field: str, code: str, *values: Any) -> None:
        for value in values:
            self.fields.append((field, len(self.data), code))
            self.data += struct.pack("<" + code, value)

    def text(self, field: str, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.put(f"length of {field}", "Q", len(data))
        self.data += data

    def key(self, name: str | bytes, type: int) -> None:
        self.text("key", name)
        self.put("value type", "I", type)

    def string(self, name: str, text: str | bytes) -> None:
        self.key(name, 8)
        self.text("string", text)

    def array(self, name: str, type: int, count: int) -> None:
        self.key(name, 9)
        self.put("element type", "I", type)
        self.put("element count", "Q", count)

    def tensor(self, name: str | bytes, dimensions: Sequence[int], type: int, offset: int) -> None:
        self.text("tensor name", name)
        self.put("dimension count", "I", len(dimensions))
        self.put("dimension", "Q", *dimensions)
        self.put("tensor type", "I", type)
        self.put("tensor offset", "Q", offset)

    def bytes(self, data: int = 0, alignment: int = 32) -> bytes:
        """The file, with so many bytes of tensor data."""
        return bytes(self.data) + bytes(-len(self.data) % alignment) + bytes(data)


def small_gguf(*, alignment: int = 64) -> GGUFBytes:
    """Every kind of field; SMALL_GGUF_DATA bytes of tensors belong behind it."""
    file = GGUFBytes(tensors=3, keys=7)
    file.string("general.architecture", "llama")
    file.key("llama.block_count", 4)
    file.put("value", "I", 2)
    file.key("llama.use_parallel_residual", 7)
    file.put("value", "B", 1)
    file.array("tokenizer.ggml.tokens", 8, 3)
    for token in ("a", "é", ""):
        file.text("element", token)
    file.array("tokenizer.ggml.scores", 6, 3)
    file.put("element", "f", 0.5, -1.0, 2.0)
    file.array("nested", 9, 1)
    file.put("element type", "I", 5)
    file.put("element count", "Q", 2)
    file.put("element", "i", -1, 7)
    file.key("general.alignment", 4)
    file.put("value", "I", alignment)
    file.tensor("a.weight", (4, 8), 0, 0)
    file.tensor("b.weight", (32, 2), 8, 128)
    file.tensor("c.weight", (16,), 1, 128 + 68 + (-68 % alignment))
    return file


SMALL_GGUF_DATA = 128 + 128 + 32  # with an alignment of 64


def safetensors_bytes(
    tensors: Mapping[str, tuple[str, Sequence[int]]], *, metadata: Any = None
) -> bytes:
    """A safetensors file with tensors of (dtype, shape), filled with 1, 2, 3, ..."""
    sizes = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U8": 1, "F8_E4M3": 1}
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + sizes[dtype] * _product(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    return raw_safetensors(json.dumps(header).encode(), bytes(i % 251 for i in range(end)))


def raw_safetensors(header: bytes, data: bytes = b"") -> bytes:
    """A header's bytes as they are, with the length that belongs to them."""
    return struct.pack("<Q", len(header)) + header + data


def _product(shape: Sequence[int]) -> int:
    product = 1
    for dimension in shape:
        product *= dimension
    return product


async def opened(file: GGUFBytes, data: int = 0) -> Checkpoint:
    """The checkpoint of a made file; where it is refused its source must be closed."""
    source = MemorySource(file.bytes(data))
    try:
        return await open_checkpoint(source)
    except CheckpointError:
        assert not source.open
        raise
