"""Numbers on their way to the user and back: numpy's arrays, or memoryviews without numpy."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterator
from typing import Any

__all__ = ["base64_of", "floats", "in_base64", "shaped"]


def shaped(data: bytearray, *shape: int) -> Any:
    """float32 bytes as an array of that shape: numpy's, or a memoryview without numpy."""
    try:
        import numpy as np
    except ImportError:
        return memoryview(data).cast("f", shape)
    return np.frombuffer(data, np.float32).reshape(shape)


def in_base64(values: Any) -> dict[str, Any]:
    """A float32 array for JSON: its dtype, shape, and bytes, row-major and little-endian."""
    return {"dtype": "float32", "shape": [*values.shape], "base64": base64_of(values)}


def base64_of(values: Any) -> str:
    """The bytes of float32 numbers, little-endian, as OpenAI sends them."""
    data = values.tobytes()
    if sys.byteorder == "big":
        swapped = array("f", data)
        swapped.byteswap()
        data = swapped.tobytes()
    return base64.b64encode(data).decode("ascii")


def floats(values: Any) -> array[float]:
    """Numbers in order, whatever holds them: an array, a tensor, (nested) lists.

    Raises:
        TypeError, ValueError: they are no numbers.
    """
    return array("f", flat(values.tolist() if hasattr(values, "tolist") else values))


def flat(values: Any) -> Iterator[float]:
    """Every number, however deep."""
    if isinstance(values, (str, bytes)):
        raise TypeError("a text is no number")
    if not hasattr(values, "__iter__"):
        yield float(values)
        return
    for value in values:
        yield from flat(value)
