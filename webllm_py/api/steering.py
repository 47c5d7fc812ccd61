"""``steering``: vectors by layer, as ``Engine.steer`` takes them, in a request's JSON or Python."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

from webllm_py.api.checks import fail, wrong_type
from webllm_py.arrays import floats

__all__ = ["parse_steering"]


def parse_steering(value: Any) -> dict[int, array[float]]:
    """The vectors; JSON's keys, which are strings, are numbers of layers.

    Raises:
        RequestError: it is something else.
    """
    if not isinstance(value, Mapping):
        wrong_type("steering", "an object of layers and vectors", value)
    return {_layer(key): _vector(key, vector) for key, vector in value.items()}


def _layer(key: Any) -> int:
    if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) <= 4:
        return int(key)
    if not isinstance(key, int) or isinstance(key, bool):
        fail("steering", f"has the key {str(key)[:40]!r}, which is no layer's number.")
    return key


def _vector(key: Any, value: Any) -> array[float]:
    try:
        found = floats(value)
    except (TypeError, ValueError, OverflowError):
        wrong_type(f"steering[{key}]", "a list of numbers", value)
    if not all(map(math.isfinite, found)):
        fail(f"steering[{key}]", "has numbers that are not finite.")
    return found
