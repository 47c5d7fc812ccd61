"""Writes GGUF files (version 3), tensor by tensor from iterables, so that size costs no memory."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from webllm_py.checkpoint.checkpoint import FORMATS
from webllm_py.checkpoint.gguf_format import (
    DEFAULT_ALIGNMENT,
    MAGIC,
    SCALARS,
    TENSOR_TYPES,
    ValueType,
)

__all__ = ["GGUFWriter"]

TYPE_NUMBERS = {name: number for number, name in TENSOR_TYPES.items()}


class GGUFWriter:
    """Collects keys and tensors, then writes the file in one pass.

    ::

        writer = GGUFWriter()
        writer.add("general.architecture", "llama")
        writer.add("llama.block_count", 2)
        writer.add_tensor("token_embd.weight", (512, 64), "Q8_0", blocks)
        with open("model.gguf", "wb") as file:
            writer.write(file)
    """

    def __init__(self, *, alignment: int = DEFAULT_ALIGNMENT):
        if alignment < 8 or alignment % 8:
            raise ValueError(f"alignment must be a multiple of 8, not {alignment}")
        self._alignment = alignment
        self._keys: dict[str, bytes] = {}
        self._tensors: dict[str, tuple[bytes, int, Iterable[bytes]]] = {}
        self._data_bytes = 0
        if alignment != DEFAULT_ALIGNMENT:
            self.add("general.alignment", alignment)

    def add(self, key: str, value: Any, type: ValueType | None = None) -> None:
        """Add a metadata key.

        Args:
            key: its name.
            value: bool, int, float, str, or a sequence of them (or of sequences).
            type: of the value, or of the elements of the innermost sequences. Without it an int
                becomes UINT32, INT32, UINT64 or INT64, the first that holds it (for a sequence: all
                of it), and a float FLOAT32.

        Raises:
            ValueError: the key is there already, or the value has no type.
        """
        if key in self._keys:
            raise ValueError(f"the key {key!r} is there already")
        kind = type if type is not None else infer_type(value)
        outer = ValueType.ARRAY if is_array(value) else kind
        self._keys[key] = string(key) + struct.pack("<I", outer) + encode(value, kind)

    def add_tensor(
        self, name: str, shape: Sequence[int], format: str, data: Iterable[bytes]
    ) -> None:
        """Add a tensor.

        Args:
            name: its name.
            shape: outermost dimension first, 1 to 4 of them.
            format: a key of ``checkpoint.FORMATS``.
            data: its bytes in pieces of any size; gone through once, while writing.

        Raises:
            ValueError: the name is there already, or the shape does not fit the format.
        """
        layout = FORMATS[format]
        if name in self._tensors:
            raise ValueError(f"the tensor {name!r} is there already")
        if not 1 <= len(shape) <= 4 or min(shape) < 1 or shape[-1] % layout.block_size:
            raise ValueError(f"{name}: shape {tuple(shape)} is not possible in {format}")
        elements = 1
        for dimension in shape:
            elements *= dimension
        info = string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        info += struct.pack("<IQ", TYPE_NUMBERS[format], self._data_bytes)
        nbytes = layout.nbytes(elements)
        self._tensors[name] = (info, nbytes, data)
        self._data_bytes += nbytes + padding(nbytes, self._alignment)

    def write(self, file: BinaryIO) -> int:
        """Write everything; returns the number of bytes.

        Raises:
            ValueError: a tensor's data has not the number of bytes that its shape needs.
        """
        header = MAGIC + struct.pack("<IQQ", 3, len(self._tensors), len(self._keys))
        header += b"".join(self._keys.values())
        header += b"".join(info for info, _, _ in self._tensors.values())
        header += bytes(padding(len(header), self._alignment))
        file.write(header)
        for name, (_, nbytes, data) in self._tensors.items():
            written = 0
            for piece in data:
                file.write(piece)
                written += len(piece)
            if written != nbytes:
                raise ValueError(f"tensor {name!r} needs {nbytes} bytes, its data has {written}")
            file.write(bytes(padding(nbytes, self._alignment)))
        return len(header) + self._data_bytes


def padding(length: int, alignment: int) -> int:
    """Bytes from ``length`` to the next multiple of ``alignment``."""
    return -length % alignment


def string(text: str) -> bytes:
    """A GGUF string: its length, its UTF-8."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def is_array(value: Any) -> bool:
    """Whether a value becomes a GGUF array."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def infer_type(value: Any) -> ValueType:
    """The type of a value, or of the elements of a sequence (see ``GGUFWriter.add``)."""
    leaves = list(flatten(value))
    kinds = {type(leaf) for leaf in leaves}
    if kinds == {bool}:
        return ValueType.BOOL
    if kinds == {str}:
        return ValueType.STRING
    if kinds in ({float}, {float, int}):
        return ValueType.FLOAT32
    if kinds == {int}:
        low, high = min(leaves), max(leaves)
        for kind, bits in ((ValueType.UINT32, 32), (ValueType.UINT64, 64)):
            if low >= 0 and high < 1 << bits:
                return kind
            if -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
                return ValueType.INT32 if bits == 32 else ValueType.INT64
    raise ValueError(f"the type of {value!r} is not clear: give it")


def flatten(value: Any) -> Iterable[Any]:
    """The innermost elements of nested sequences."""
    if not is_array(value):
        yield value
        return
    for element in value:
        yield from flatten(element)


def encode(value: Any, kind: ValueType) -> bytes:
    """A value without its type, as it stands in the file."""
    if not is_array(value):
        return (
            string(value) if kind is ValueType.STRING else struct.pack("<" + SCALARS[kind], value)
        )
    nested = any(is_array(element) for element in value)
    head = struct.pack("<IQ", ValueType.ARRAY if nested else kind, len(value))
    if nested:
        return head + b"".join(encode(element, kind) for element in value)
    if kind is ValueType.STRING:
        return head + b"".join(map(string, value))
    return head + struct.pack(f"<{len(value)}{SCALARS[kind]}", *value)
