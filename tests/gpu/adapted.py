"""Adapters beside a weight, as the kernels have them, made in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ADAPTERS", "SLOTS", "Beside", "Segment", "added", "segments_of", "with_scales"]

ADAPTERS = 4  # that scales are kept of
SLOTS = 8


@dataclass
class Segment:
    """A and B, which reaches ``rows`` of the weight's rows: ``first``, first + 1 ...; or spread.

    Attributes:
        spread: 0: one by one; 1: 0, 2, 4 ...; 2: 1, 3, 5 ...
    """

    a: np.ndarray
    b: np.ndarray
    adapter: int = 0
    first: int = 0
    spread: int = 0

    @property
    def quads(self) -> int:
        return -(-len(self.a) // 4)

    def whole(self, rows: int) -> np.ndarray:
        """B with a row for each of the weight's."""
        whole = np.zeros((rows, self.b.shape[1]), np.float32)
        step = 2 if self.spread else 1
        start = self.first + max(0, self.spread - 1)
        whole[start : start + step * len(self.b) : step] = self.b
        return whole


class Beside:
    """What stands beside a weight, as kernels/linear/finish_lora.wgsl tells it.

    Args:
        before: norm and biases.
        rows: of x that there is room for.
    """

    def __init__(self, segments: list[Segment], before: np.ndarray, columns: int, rows: int):
        self.at = -(-before.size // 4)
        self.quads = sum(segment.quads for segment in segments)
        self.low_at = self.at + 1 + 2 * self.quads
        a_at = self.low_at + rows * self.quads
        head = np.array([self.quads, 0, 0, 0])
        parts = [np.pad(before, (0, -before.size % 4)), head]
        b_at, of_a = a_at + self.quads * columns, []
        for s in segments:
            width = -(-len(s.b) // 4)
            for quad in range(s.quads):
                at = b_at + 4 * quad * width
                parts.append(np.array([at, s.first // 4, width, s.spread]))
                of_a.append(np.array([a_at, s.adapter, 0, 0]))
                a_at += columns
            b_at += 4 * s.quads * width
        parts += of_a
        parts.append(np.zeros(4 * rows * self.quads))
        for s in segments:
            shape = (0, -len(s.a) % 4), (0, columns - s.a.shape[1])
            parts.append(np.pad(s.a, shape).ravel())
        for s in segments:
            parts.append(np.pad(s.b.T, ((0, -len(s.a) % 4), (0, -len(s.b) % 4))).ravel())
        self.words = np.concatenate(parts).astype(np.float32)
        self.rows = rows

    def use(self, used: list[Segment]) -> None:
        """Say that only the first segments, these, are in use."""
        self.words[4 * self.at] = sum(segment.quads for segment in used)

    def low(self, words: np.ndarray) -> np.ndarray:
        """scale * A x, (rows, ranks in whole quads)."""
        start = 4 * self.low_at
        return words[start : start + 4 * self.rows * self.quads].reshape(self.rows, -1)


def segments_of(rng: np.random.Generator, n: int, k: int) -> list[Segment]:
    """Ragged ranks of several adapters, that reach all rows, some, and every other one."""
    normal = rng.standard_normal
    return [
        Segment(normal((4, k)), normal((n, 4)), adapter=2),
        Segment(normal((13, k)), normal((8, 13)), adapter=0, first=4),
        Segment(normal((8, k)), normal(((n + 1) // 2, 8)), adapter=1, spread=1),
        Segment(normal((64, k)), normal((n // 2, 64)), adapter=1, spread=2),
    ]


def added(segments: list[Segment], low: np.ndarray, n: int) -> np.ndarray:
    """What the second half adds, (rows, n)."""
    total, at = np.zeros((len(low), n)), 0
    for segment in segments:
        total += low[:, at : at + len(segment.a)] @ segment.whole(n).T
        at += 4 * segment.quads
    return total


def with_scales(step: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """A step buffer with (slots, adapters) scales behind it."""
    return np.concatenate([step, scales.ravel().view(np.uint32)])
