"""Reads a GGUF header (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).

The header's length stands nowhere, so it is read as it is understood: each read asks for no more
than what must still come at least (a string takes 8 bytes or more, a key 13, a tensor 32). No byte
of the tensors behind it is read, and a count that the file cannot hold is refused at once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from webllm_py.checkpoint.gguf_format import MAGIC, SCALARS, VERSIONS, ValueType
from webllm_py.checkpoint.gguf_strings import LENGTH, Strings
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.fetch.source import ByteSource

__all__ = ["GGUFHeader", "TensorRecord", "read_header"]

# Far above any model, far below what would fill a browser's memory. (Gemma 3, with 262,144 tokens,
# has 1.3 million array elements in 17 MB.)
MAX_HEADER_BYTES = 64 << 20
MAX_ELEMENTS = 1 << 21
MAX_ARRAYS = 1 << 14  # inside other arrays, which no known model has
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 16
MAX_NAME_BYTES = (1 << 16) - 1  # the specification's limit for keys
MAX_NESTING = 4
MAX_DIMENSIONS = 4

KEY_BYTES = 8 + 4 + 1  # of a key at least: its name's length, the type, a one-byte value
TENSOR_BYTES = 8 + 4 + 8 + 4 + 8  # of a tensor at least: name, one dimension, type and offset
COUNT = struct.Struct("<I")
TENSORS = {n: struct.Struct(f"<{n}QIQ") for n in range(1, MAX_DIMENSIONS + 1)}
"""By how many dimensions: these, the type and the offset."""


@dataclass(frozen=True)
class TensorRecord:
    """A tensor as the header has it: dimensions innermost first, offset from the data's start."""

    name: str
    dimensions: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True)
class GGUFHeader:
    """All that stands before the tensors' bytes; ``end`` is where it ends in the file."""

    version: int
    metadata: dict[str, Any]
    tensors: list[TensorRecord]
    end: int


async def read_header(source: ByteSource, head: bytes = b"") -> GGUFHeader:
    """Read a GGUF file's header.

    Args:
        source: the file.
        head: the first bytes of the file, where the caller has them already.

    Raises:
        CorruptCheckpointError: truncated, or not what the specification says.
        UnsupportedModelError: a version that is not read, or big-endian.
        SourceError: the bytes cannot be had.
    """
    return await _HeaderReader(source, await source.size(), head).header()


class _HeaderReader:
    def __init__(self, source: ByteSource, size: int | None, head: bytes):
        self.source = source
        self.size = size
        self.buffer = head
        self.position = 0  # in the buffer, of the next byte to understand
        self.read = len(head)  # bytes of the file read so far
        self.owed = 0  # bytes that must come at least after the item that is being understood
        self.elements = 0  # of all arrays so far
        self.arrays = 0  # inside other arrays

    async def header(self) -> GGUFHeader:
        magic = await self.take(4)
        if magic != MAGIC:
            raise self.corrupt(f"begins with {magic!r}, not with {MAGIC!r}: it is no GGUF file")
        version = await self.version()
        tensor_count = await self.length()
        key_count = await self.length()
        if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
            raise self.corrupt(f"claims {tensor_count} tensors and {key_count} keys: not credible")
        self.owed = key_count * KEY_BYTES + tensor_count * TENSOR_BYTES
        metadata: dict[str, Any] = {}
        for _ in range(key_count):
            self.owed -= KEY_BYTES
            key = await self.name("key")
            if key in metadata:
                raise self.corrupt(f"has the key {key!r} twice")
            metadata[key] = await self.value(await self.value_type(key), key, 0)
        tensors = []
        for _ in range(tensor_count):
            self.owed -= TENSOR_BYTES
            tensors.append(await self.tensor())
        return GGUFHeader(version, metadata, tensors, self.here)

    async def version(self) -> int:
        version = await self.number("I")
        if version in VERSIONS:
            return version
        if int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS:
            raise UnsupportedModelError(
                f"{self.source.name} is a big-endian GGUF file; only little-endian ones are read. "
                "Convert it with gguf-py's gguf_convert_endian."
            )
        raise UnsupportedModelError(
            f"{self.source.name} is GGUF version {version}; versions 2 and 3 are read. Convert the "
            "model anew with a current llama.cpp."
        )

    async def tensor(self) -> TensorRecord:
        name = await self.name("tensor name")
        (count,) = COUNT.unpack(await self.take(COUNT.size))
        if not 1 <= count <= MAX_DIMENSIONS:
            raise self.corrupt(
                f"claims {count} dimensions for tensor {name!r}; 1 to 4 are possible"
            )
        layout = TENSORS[count]
        *dimensions, type_number, offset = layout.unpack(await self.take(layout.size))
        return TensorRecord(name, tuple(dimensions), type_number, offset)

    async def value_type(self, key: str) -> ValueType:
        number = await self.number("I")
        try:
            return ValueType(number)
        except ValueError:
            raise self.corrupt(f"has the unknown value type {number} for key {key!r}") from None

    async def value(self, kind: ValueType, key: str, depth: int) -> Any:
        if kind is ValueType.STRING:
            return await self.string(f"key {key!r}")
        if kind is not ValueType.ARRAY:
            return (await self.scalars(kind, 1, key))[0]
        if depth == MAX_NESTING:
            raise self.corrupt(f"nests arrays more than {MAX_NESTING} deep in key {key!r}")
        element = await self.value_type(key)
        count = await self.length()
        self.elements += count
        self.arrays += count if element is ValueType.ARRAY else 0
        if self.elements > MAX_ELEMENTS or self.arrays > MAX_ARRAYS:
            raise self.corrupt(f"claims an array of {count} elements for key {key!r}: not credible")
        if element is ValueType.STRING:
            return await self.strings(count, f"key {key!r}")
        if element is not ValueType.ARRAY:
            return await self.scalars(element, count, key)
        least = 4 + 8  # bytes of an array: its type and its count
        self.owed += count * least
        arrays = []
        for _ in range(count):
            self.owed -= least
            arrays.append(await self.value(ValueType.ARRAY, key, depth + 1))
        return arrays

    async def scalars(self, kind: ValueType, count: int, key: str) -> list[Any]:
        layout = struct.Struct(f"<{count}{SCALARS[kind]}")
        values = list(layout.unpack(await self.take(layout.size)))
        if kind is not ValueType.BOOL:
            return values
        if not set(values) <= {0, 1}:
            raise self.corrupt(f"has a bool that is neither 0 nor 1 in key {key!r}")
        return [value == 1 for value in values]

    async def strings(self, count: int, where: str) -> Strings:
        """``count`` strings; vocabularies have hundreds of thousands, hence no await for each."""
        strings = Strings()
        while True:
            try:
                self.position = strings.take(self.buffer, self.position, count)
            except UnicodeDecodeError as error:
                raise self.bad_text(f"string {len(strings)} of {where}", error) from error
            left = count - len(strings)
            if left == 0:
                return strings
            # The next string is not whole yet: have the rest of it, and the others' lengths.
            (length,) = LENGTH.unpack(await self.peek(8, 8 * (left - 1)))
            await self.peek(8 + length, 8 * (left - 1))

    async def string(self, where: str, most: int | None = None) -> str:
        (length,) = LENGTH.unpack(await self.peek(8))
        if most is not None and length > most:
            raise self.corrupt(f"claims {where} of {length} bytes: not possible")
        try:
            return (await self.take(8 + length))[8:].decode()
        except UnicodeDecodeError as error:
            raise self.bad_text(where, error) from error

    async def name(self, what: str) -> str:
        return await self.string(f"a {what}", MAX_NAME_BYTES)

    async def length(self) -> int:
        return await self.number("Q")

    async def number(self, code: str) -> int:
        layout = struct.Struct(f"<{code}")
        (value,) = layout.unpack(await self.take(layout.size))
        return int(value)

    async def take(self, length: int) -> bytes:
        data = await self.peek(length)
        self.position += length
        return data

    async def peek(self, length: int, followed_by: int = 0) -> bytes:
        """The next bytes; read so far that ``followed_by`` bytes behind them are there as well."""
        wanted = length + followed_by + self.owed - (len(self.buffer) - self.position)
        if length > len(self.buffer) - self.position:
            self.check_possible(wanted)
            more = await self.source.read(self.read, wanted)
            self.buffer = self.buffer[self.position :] + more
            self.position = 0
            self.read += wanted
        return self.buffer[self.position : self.position + length]

    def check_possible(self, wanted: int) -> None:
        if self.size is not None and self.read + wanted > self.size:
            raise self.corrupt(
                f"ends at byte {self.size}, inside its header, which needs at least "
                f"{self.read + wanted} bytes: it is incomplete or damaged. Download it again"
            )
        if self.read + wanted > MAX_HEADER_BYTES:
            raise self.corrupt(
                f"claims a header of {self.read + wanted} bytes or more: not credible"
            )

    @property
    def here(self) -> int:
        """Where in the file the next byte to understand lies."""
        return self.read - (len(self.buffer) - self.position)

    def corrupt(self, problem: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(f"{self.source.name} {problem} (near byte {self.here}).")

    def bad_text(self, where: str, error: UnicodeDecodeError) -> CorruptCheckpointError:
        return self.corrupt(f"has bad UTF-8 in {where} ({error.reason})")
