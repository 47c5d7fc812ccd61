"""Rows of sequences that keep states, and what a causal convolution sees of them, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

__all__ = [
    "ROWS",
    "ROWS_AT",
    "STATES",
    "STATES_AT",
    "Rows",
    "state_of",
    "step_of",
    "windows",
]

Rows: TypeAlias = Sequence[tuple[int, int]]
"""Of each row its slot and position."""

ROWS_AT, MAX_ROWS = 4, 80
STATES_AT = ROWS_AT + 4 * MAX_ROWS
STATES = 3
"""In the pool; sequence ``slot`` has the state ``state_of(slot)``."""

# A prompt, one that goes on, one shorter than a convolution, and sequences decoded together.
ROWS: dict[str, Rows] = {
    "prompt": [(1, p) for p in range(37)],
    "later": [(0, p) for p in range(50, 72)],
    "long": [(2, p) for p in range(7, 77)],
    "two": [(2, 5), (2, 6)],
    "together": [(1, 9), (0, 0), (2, 1), (2, 2)],
}


def state_of(slot: int) -> int:
    """The number of a slot's state."""
    return (slot + 1) % STATES


def step_of(rows: Rows) -> np.ndarray:
    """The step buffer's words."""
    words = np.zeros(STATES_AT + STATES, np.uint32)
    words[0] = len(rows)
    for m, (slot, position) in enumerate(rows):
        words[ROWS_AT + 4 * m : ROWS_AT + 4 * m + 3] = (0, position, slot)
    words[STATES_AT:] = [state_of(slot) for slot in range(STATES)]
    return words


def windows(rows: Rows, inputs: np.ndarray, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the inputs of it and of the positions before, the oldest first; and the states'
    tails afterwards.

    Args:
        inputs: (rows, channels).
        tails: (states, positions, channels), what the states have of the positions before.
    """
    tails, past = tails.astype(np.float64), tails.shape[1]
    seen = []
    for m, (slot, position) in enumerate(rows):
        tail = tails[state_of(slot)]
        tail[: max(0, past - position)] = 0
        window = np.concatenate([tail, inputs[m : m + 1]])
        tail[:] = window[1:]
        seen.append(window)
    return np.array(seen), tails
