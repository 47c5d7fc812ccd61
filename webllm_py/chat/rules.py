"""Which calls an answer may, or must, hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CallRules"]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class CallRules:
    """Which calls an answer may, or must, hold.

    Attributes:
        functions: those that may be called, in OpenAI's form.
        required: the answer is a call.
        parallel: there may be several.
        strict: names of functions whose schema must be kept to; where a call is required, all are.
    """

    functions: Sequence[Json] = ()
    required: bool = False
    parallel: bool = True
    strict: frozenset[str] = frozenset()

    @property
    def schemas(self) -> dict[str, Any]:
        """The JSON Schema of each function's arguments."""
        return {
            function["name"]: function.get("parameters", NO_ARGUMENTS)
            for function in self.functions
        }


NO_ARGUMENTS: Json = {"type": "object", "properties": {}}  # what OpenAI takes absent ones for
