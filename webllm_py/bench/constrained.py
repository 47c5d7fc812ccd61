"""Decoding under a JSON schema beside decoding any text, run by run in turn."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

__all__ = ["Rates", "constrained"]

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


@dataclass
class Rates:
    """Tokens a second under a schema and without one, run by run.

    Attributes:
        under, free: of one text, once it was written before; of any text.
        first: of the first answer under the schema.
        new: of other texts under it.
    """

    under: list[float] = field(default_factory=list)
    free: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of any text's rate, in the middle of the runs."""
        return median(a / b for a, b in zip(self.under, self.free, strict=True))


async def constrained(
    rate: Callable[[Mapping[str, Any]], Awaitable[float]], runs: int, long_seconds: float
) -> Rates:
    """So many runs of each. Fewer, but one at least, once they took so long together.

    Args:
        rate: of decoding with these fields of a request.
    """
    start, found = time.perf_counter(), Rates()
    for run in range(runs + 1):
        if run > 1 and time.perf_counter() - start > long_seconds:
            break
        own, other = await rate(UNDER), await rate(FREE)
        if run:
            found.under.append(own)
            found.free.append(other)
        else:
            found.first.append(own)
        found.new.append(await rate({**UNDER, "seed": FREE["seed"] + 1 + run}))
    return found
