"""Writes ONNX models: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto in Protocol Buffers'
wire format, as much of it as a decoder needs.

The package ``onnx`` would do it too, but has compiled parts: a pack is carried to machines whose
Python and platform are not known here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["DataType", "Graph", "Node", "Place", "Tensor", "Value"]

IR_VERSION = 10
OPSETS: Mapping[str, int] = {"": 21, "com.microsoft": 1}
EXTERNAL = 1  # TensorProto.DataLocation
FLOAT_ATTRIBUTE, INT_ATTRIBUTE = 1, 2  # AttributeProto.AttributeType
VARINT, BYTES, FOUR_BYTES = 0, 2, 5  # wire types


class DataType(IntEnum):
    """TensorProto.DataType."""

    FLOAT = 1
    UINT8 = 2
    INT32 = 6
    INT64 = 7
    FLOAT16 = 10


@dataclass(frozen=True)
class Place:
    """Where a tensor's bytes lie: a file beside the model."""

    file: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Tensor:
    """A constant: its bytes, little-endian, or where they lie."""

    name: str
    type: DataType
    shape: Sequence[int]
    data: bytes | Place


@dataclass(frozen=True)
class Value:
    """An input or output of the graph; sizes that are not fixed have names."""

    name: str
    type: DataType
    shape: Sequence[int | str]


@dataclass(frozen=True)
class Node:
    """An operation; "" stands for an input or output that is left out."""

    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, int | float] = field(default_factory=dict)
    domain: str = ""


@dataclass
class Graph:
    """A model in the making; nodes in the order in which they can be computed."""

    name: str
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)

    def model(self) -> bytes:
        """The .onnx file."""
        graph = b"".join(
            [
                *(message(1, node(one, i)) for i, one in enumerate(self.nodes)),
                text(2, self.name),
                *(message(5, tensor(constant)) for constant in self.constants),
                *(message(11, value(given)) for given in self.inputs),
                *(message(12, value(found)) for found in self.outputs),
            ]
        )
        opsets = (message(8, text(1, domain) + number(2, v)) for domain, v in OPSETS.items())
        return number(1, IR_VERSION) + text(2, "webllm_py") + message(7, graph) + b"".join(opsets)


def node(one: Node, place: int) -> bytes:
    """NodeProto."""
    return b"".join(
        [
            *(text(1, name) for name in one.inputs),
            *(text(2, name) for name in one.outputs),
            text(3, f"{one.operator}_{place}"),
            text(4, one.operator),
            *(message(5, attribute(name, v)) for name, v in one.attributes.items()),
            text(7, one.domain),
        ]
    )


def attribute(name: str, setting: int | float) -> bytes:
    """AttributeProto."""
    if isinstance(setting, float):
        stored = varint(2 << 3 | FOUR_BYTES) + struct.pack("<f", setting)
        return text(1, name) + stored + number(20, FLOAT_ATTRIBUTE)
    return text(1, name) + number(3, setting) + number(20, INT_ATTRIBUTE)


def tensor(constant: Tensor) -> bytes:
    """TensorProto."""
    head = packed(1, constant.shape) + number(2, constant.type) + text(8, constant.name)
    if isinstance(constant.data, bytes):
        return head + message(9, constant.data)
    place = {
        "location": constant.data.file,
        "offset": str(constant.data.offset),
        "length": str(constant.data.nbytes),
    }
    entries = (message(13, text(1, key) + text(2, entry)) for key, entry in place.items())
    return head + b"".join(entries) + number(14, EXTERNAL)


def value(one: Value) -> bytes:
    """ValueInfoProto."""
    sizes = (text(2, n) if isinstance(n, str) else number(1, n) for n in one.shape)
    shape = b"".join(message(1, size) for size in sizes)
    return text(1, one.name) + message(2, message(1, number(1, one.type) + message(2, shape)))


def text(number_of_field: int, content: str) -> bytes:
    """A string."""
    return message(number_of_field, content.encode())


def message(number_of_field: int, content: bytes) -> bytes:
    """Bytes, or a message of its own."""
    return varint(number_of_field << 3 | BYTES) + varint(len(content)) + content


def packed(number_of_field: int, numbers: Iterable[int]) -> bytes:
    """A list of whole numbers."""
    return message(number_of_field, b"".join(map(varint, numbers)))


def number(number_of_field: int, content: int) -> bytes:
    """A whole number."""
    return varint(number_of_field << 3 | VARINT) + varint(content)


def varint(content: int) -> bytes:
    """7 bits a byte, the least first; negative numbers in 64 bits."""
    content &= (1 << 64) - 1
    found = bytearray()
    while content > 127:
        found.append(content & 127 | 128)
        content >>= 7
    found.append(content)
    return bytes(found)
