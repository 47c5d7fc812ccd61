"""What is kept of hidden states and attentions that transformers computed: the last position whole,
and the dot product of every row with random numbers, which no error in a single one escapes."""

from __future__ import annotations

import numpy as np
from expected import FIXTURES
from made_models import noise

__all__ = ["INSPECTED", "INSPECTED_PROMPT", "INSPECTIONS", "inspection_error", "kept"]

INSPECTIONS = FIXTURES / "inspections.npz"
# Grouped heads, biases and windows; softcaps; norms of heads; sinks and experts.
INSPECTED = ("qwen2-window", "gemma2", "gemma3", "gpt-oss")
INSPECTED_PROMPT = 1
"""Longer than the windows, and than the rows of one step."""


def kept(name: str, what: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of the fixture."""
    return {
        f"{name} {what} sums": summed(values).astype(np.float32),
        f"{name} {what} last": values[..., -1, :].astype(np.float32),
    }


def summed(values: np.ndarray) -> np.ndarray:
    """The dot product of each row with random numbers."""
    sums: np.ndarray = values.astype(np.float64) @ noise("inspected", values.shape[-1])
    return sums


def inspection_error(name: str, what: str, values: np.ndarray) -> float:
    """The greatest difference from what transformers computed; small ones of all of a row's numbers
    add up to about the square root of their number."""
    with np.load(INSPECTIONS) as file:
        sums, last = file[f"{name} {what} sums"], file[f"{name} {what} last"]
    assert values.dtype == np.float32
    assert sums.shape == values.shape[:-1]
    of_sums = np.abs(summed(values) - sums).max() / values.shape[-1] ** 0.5
    return float(max(of_sums, np.abs(values[..., -1, :] - last).max()))
