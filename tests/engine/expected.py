"""Logits that somebody else computed, kept small: all of them for the last position; for every
position some columns, and two sums over the whole row that no error in another column escapes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FIXTURES", "Expected"]

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "logits"


@dataclass
class Expected:
    """What is kept of (positions, vocab) logits, float32.

    ``log_sum`` is each row's log-sum-exp, ``length`` its Euclidean length.
    """

    columns: np.ndarray
    values: np.ndarray
    log_sum: np.ndarray
    length: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray, keep: int) -> Expected:
        """Keep so many columns, spread evenly, the first and the last among them."""
        rows = np.asarray(logits, np.float64)
        columns = np.unique(np.linspace(0, rows.shape[1] - 1, keep).round().astype(np.int32))
        return cls(
            columns,
            rows[:, columns].astype(np.float32),
            log_sum_exp(rows).astype(np.float32),
            np.linalg.norm(rows, axis=1).astype(np.float32),
            rows[-1].astype(np.float32),
        )

    def save(self, name: str, **more: Any) -> None:
        FIXTURES.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(FIXTURES / f"{name}.npz", **asdict(self), **more)

    @classmethod
    def load(cls, name: str) -> tuple[Expected, dict[str, np.ndarray]]:
        """The fixture, and what else was saved with it."""
        with np.load(FIXTURES / f"{name}.npz") as file:
            arrays = dict(file)
        return cls(**{name: arrays.pop(name) for name in cls.__dataclass_fields__}), arrays

    def error(self, logits: np.ndarray, first: int = 0) -> float:
        """The greatest difference from these logits, whose rows begin at position ``first``."""
        rows = np.asarray(logits, np.float64)
        own = slice(first, first + len(rows))
        # By the triangle inequality, a row's length differs by no more than its greatest error
        # times the square root of its columns.
        lengths = np.abs(np.linalg.norm(rows, axis=1) - self.length[own]) / rows.shape[1] ** 0.5
        errors = [
            np.abs(rows[:, self.columns] - self.values[own]).max(),
            np.abs(log_sum_exp(rows) - self.log_sum[own]).max(),
            lengths.max(),
        ]
        if first + len(rows) == len(self.values):
            errors.append(np.abs(rows[-1] - self.last).max())
        return float(max(errors))


def log_sum_exp(rows: np.ndarray) -> np.ndarray:
    most = rows.max(1)
    sums: np.ndarray = most + np.log(np.exp(rows - most[:, None]).sum(1))
    return sums
