"""Values of small float tensors, which Python sees: norms, biases, frequencies."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import CorruptCheckpointError

__all__ = ["adjacent_pairs", "read_floats", "to_floats"]


async def read_floats(tensor: TensorInfo) -> Sequence[float]:
    """A small tensor's values."""
    return to_floats(tensor, await tensor.source.read(tensor.offset, tensor.nbytes))


def to_floats(tensor: TensorInfo, data: bytes) -> Sequence[float]:
    """The values of a float tensor's bytes."""
    match tensor.format.name:
        case "F32":
            values = array("f")
            values.frombytes(data)
            return values
        case "F16":
            return struct.unpack(f"<{len(data) // 2}e", data)
        case "BF16":
            widened = bytearray(2 * len(data))
            widened[2::4], widened[3::4] = data[0::2], data[1::2]
            values = array("f")
            values.frombytes(bytes(widened))
            return values
    raise CorruptCheckpointError(
        f"{tensor.name} is stored as {tensor.format.name}; norms and biases must be float tensors"
    )


def adjacent_pairs(values: Sequence[float], head_dim: int, rotary_dim: int) -> list[float]:
    """Each head's first ``rotary_dim`` values from half-split order to adjacent pairs."""
    half = rotary_dim // 2
    order = [i // 2 + half * (i % 2) for i in range(rotary_dim)] + [*range(rotary_dim, head_dim)]
    return [values[start + i] for start in range(0, len(values), head_dim) for i in order]
