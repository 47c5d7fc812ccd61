"""JSON of a checkpoint: parsed with named errors, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any

from webllm_py.errors import CorruptCheckpointError

__all__ = ["parse_object"]


def parse_object(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object in ``data``; ``name`` is what messages call it.

    Raises:
        CorruptCheckpointError: not UTF-8, not JSON, no object, or an object with a key twice.
    """
    try:
        # Some editors put a byte-order mark in front.
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    except RecursionError:
        raise CorruptCheckpointError(f"{name} is JSON nested too deep.") from None
    except ValueError as error:  # of JSON, of UTF-8, of a number with too many digits, of a key
        raise CorruptCheckpointError(
            f"{name} is not valid JSON ({error}): it is incomplete or damaged. Download it again."
        ) from error
    if not isinstance(value, dict):
        raise CorruptCheckpointError(f"{name} is JSON, but no object: {type(value).__name__}.")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"the key {key[:80]!r} appears twice")
        value[key] = item
    return value
