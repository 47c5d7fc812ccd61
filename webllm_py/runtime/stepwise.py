"""Decoding where Python has a say in each token: one wait for the GPU a token."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from webllm_py.errors import RequestError
from webllm_py.runtime.run import Run
from webllm_py.runtime.settings import LogitsProcessor

__all__ = ["Constraint", "stepwise"]


class Constraint(Protocol):
    """What the text must be, as ``webllm_py.grammar.Matcher`` knows it."""

    @property
    def is_free(self) -> bool:
        """Whether hardly a token is refused, and the text may end."""

    def mask(self) -> bytes:
        """A bitmap of the tokens that may come next; see ``Sampler.mask``."""

    def accept(self, token: int) -> bool:
        """Take note of a token; False, and nothing happens, where it is not allowed."""


async def stepwise(
    run: Run, processors: Sequence[LogitsProcessor], constraint: Constraint | None = None
) -> AsyncGenerator[tuple[int, list[int]], None]:
    """The only answer's tokens.

    Args:
        processors: they see, and may change, the logits of each step before the GPU draws.
        constraint: only tokens that it allows are drawn; where it allows none, the answer ends.
    """
    decoder, device = run.decoder, run.device
    vocab = run.executor.model.config.vocab_size
    device.replay(await decoder.plan("head"))
    while run.issued < run.max_tokens:
        if run.issued:
            await run.reserve(0)
            device.replay(await decoder.plan("logits"))
        if constraint:
            allowed = constraint.mask()  # found while the GPU computes the logits
            if not any(allowed):
                return
            decoder.sampler.mask(allowed)
        if processors:
            logits = float_array(await device.read(decoder.drawing.logits, 0, 4 * vocab))
            for processor in processors:
                logits = checked(processor, processor(logits), vocab)
            device.write(decoder.drawing.logits, 0, logits)
        device.replay(await decoder.plan("sample"))
        run.submitted(1)
        _, read = await run.next_read()
        if constraint:
            constraint.accept(read[0][1][0])
        yield read[0]


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
