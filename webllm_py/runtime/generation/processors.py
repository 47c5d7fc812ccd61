"""Logits processors: a caller's functions that see, and may change, the logits of each step."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any

from webllm_py.errors import RequestError
from webllm_py.runtime.sampling.settings import LogitsProcessor
from webllm_py.tracebacks import callers_own

__all__ = ["Processors"]


class Processors:
    """The processors of one answer, in their order.

    Args:
        given: see ``SamplingSettings.logits_processors``.
        vocab: how many logits there are.
    """

    def __init__(self, given: Sequence[LogitsProcessor], vocab: int):
        self._given = [*map(callers_own, given)]
        self._vocab = vocab
        self._accept = [callers_own(one.accept) for one in given if hasattr(one, "accept")]
        self._reset = [callers_own(one.reset) for one in given if hasattr(one, "reset")]

    def __bool__(self) -> bool:
        return bool(self._given)

    def reset(self) -> None:
        """Tell them that an answer begins."""
        for reset in self._reset:
            reset()

    def accept(self, token: int) -> None:
        """Tell them which token was drawn."""
        for accept in self._accept:
            accept(token)

    async def process(self, data: bytes) -> Any:
        """What they make of a step's logits, as a float32 array.

        Raises:
            RequestError: one returned something else.
        """
        logits = float_array(data)
        for processor in self._given:
            found = processor(logits)
            if isawaitable(found):
                found = await found
            logits = checked(processor, found, self._vocab)
        return logits


def float_array(data: bytes) -> Any:
    """A writable float32 array of these bytes: numpy's where it is to be had."""
    try:
        import numpy as np
    except ImportError:
        values = array("f")
        values.frombytes(data)
        return values
    return np.frombuffer(data, np.float32).copy()


def checked(processor: LogitsProcessor, values: Any, vocab: int) -> Any:
    """What a processor returned, as a float32 array.

    Raises:
        RequestError: it is no array, or no list, of so many real numbers.
    """
    found = f"a {type(values).__name__}"
    try:
        if len(values) != vocab:
            found = f"{len(values)} values"
        elif isinstance(values, array) and values.typecode == "f":
            return values
        elif isinstance(values, list | tuple | array):
            return array("f", values)
        elif values.shape == (vocab,) and values.dtype.kind in "fiu":
            return values.astype("float32", order="C", copy=False)
        else:
            found = f"an array of shape {values.shape} and type {values.dtype}"
    except (TypeError, AttributeError, OverflowError):
        pass
    raise RequestError(
        f"the logits processor {getattr(processor, '__name__', processor)!r} returned {found}; it "
        f"must return the {vocab} logits",
        param="logits_processors",
    )
