"""Decoding under a JSON schema beside decoding any text, run by run in turn."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Any

__all__ = ["constrained"]

# A list that outlasts every run: names of limited length, free texts, numbers and fixed words.
SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "minItems": 100_000,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 4, "maxLength": 24},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 3},
            "note": {"type": "string", "maxLength": 80},
        },
        "required": ["name", "age", "tags", "note"],
        "additionalProperties": False,
    },
}
FREE: Mapping[str, Any] = {"temperature": 1, "seed": 1, "prompt_lookup": False}
UNDER: Mapping[str, Any] = {
    **FREE,
    "response_format": {"type": "json_schema", "json_schema": {"name": "list", "schema": SCHEMA}},
    "ignore_eos": False,  # the list is long enough
}


async def constrained(
    rate: Callable[[Mapping[str, Any]], Awaitable[float]], runs: int, long_seconds: float
) -> tuple[list[float], list[float], float]:
    """Tokens a second under a schema and without one, so many of each; and the median ratio.

    Fewer, but one at least, once they took so long together.

    Args:
        rate: of decoding with these fields of a request.
    """
    start = time.perf_counter()
    under, free = [], []
    for run in range(runs + 1):
        if run > 1 and time.perf_counter() - start > long_seconds:
            break
        own, other = await rate(UNDER), await rate(FREE)
        if run:  # the first makes the vocabulary's tables
            under.append(own)
            free.append(other)
    return under, free, median(a / b for a, b in zip(under, free, strict=True))
