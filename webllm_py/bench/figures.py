"""Figures of a bench: bytes that a step reads, and summaries of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from webllm_py.models.step import PAGE
from webllm_py.runtime.executor import Executor

__all__ = ["spread", "step_bytes"]


def step_bytes(executor: Executor, positions: float) -> int:
    """Bytes that a decode step reads: every weight once, and the keys and values of the context.

    Of a mixture it reads the experts that a token goes to; of an embedding table that is not the
    output layer as well one row, which is left out.
    """
    weights, config = executor.weights, executor.model.config
    nbytes = sum(buffer.size for _, buffer in weights.vectors.values())
    for name, (matrix, slices) in weights.matrices.items():
        if name != "token_embd" or executor.model.tied:
            size = sum(buffer.size for part in slices for buffer in part.buffers.values())
            of_experts = matrix.together > 1
            nbytes += size * config.experts_a_row // config.all_experts if of_experts else size
    return round(nbytes + executor.cache.bytes_a_page * positions / PAGE)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least, most, and every value."""
    return {
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "runs": list(values),
    }
