"""Which of several shapes is the fastest, from times that scatter and may be rounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from math import hypot, inf, sqrt
from typing import Any

__all__ = ["LEAST_SAMPLES", "Race", "Trial"]

LEAST_SAMPLES = 4
# Of the default's time: what is gained must be worth a kernel of its own, and be no accident.
LEAST_GAIN = 0.03
# A mean that is known this well needs no more samples.
KNOWN = 0.01
MOST_SAMPLES = 60


class Trial:
    """One shape, and the seconds that a layer took so far.

    Args:
        plan: what to run for it.
        layers: how many that runs.
        price: what its times are multiplied with, for what it costs besides.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        plan: Any = None,
        layers: float = 1.0,
        price: float = 1.0,
    ):
        self.shape = shape
        self.plan = plan
        self.layers = layers
        self.price = price
        self.samples: list[float] = []

    def took(self, seconds: float) -> None:
        """Note how long a run of the plan took."""
        self.samples.append(self.price * seconds / self.layers)

    def estimate(self, tick: float) -> tuple[float, float]:
        """Mean and standard error, without the samples that something else made long.

        Args:
            tick: what a plan's times are rounded to: of those around the median, both are right.
        """
        if len(self.samples) < LEAST_SAMPLES:
            return inf, inf
        from statistics import fmean, median, stdev  # not in the snapshot that pages start from

        most = median(self.samples) + tick / self.layers
        kept = [seconds for seconds in self.samples if seconds <= most]
        error = stdev(kept) / sqrt(len(kept)) if len(kept) > 1 else inf
        return fmean(kept), error


class Race:
    """Trials of one problem, the default first. Those that have lost are not run again."""

    def __init__(self, name: str, trials: Sequence[Trial]):
        self.name = name
        self.default, *_ = self.running = list(trials)
        self._turns: Iterator[Trial] = cycle(self.running)
        self.settled = False

    def next(self) -> Trial:
        """The trial whose turn it is."""
        return next(self._turns)

    def narrow(self, tick: float) -> None:
        """Leave out what is slower than the fastest, doubts allowed for; see ``settled``."""
        found = [(trial, *trial.estimate(tick)) for trial in self.running]
        if any(mean == inf for _, mean, _ in found):
            return
        bound = min(mean + 2 * error for _, mean, error in found)
        running = [
            trial for trial, mean, error in found
            if trial is self.default or mean - 2 * error <= bound
        ]  # fmt: skip
        self.settled = len(running) == 1 or all(
            error <= KNOWN * mean or len(trial.samples) >= MOST_SAMPLES
            for trial, mean, error in found
            if trial in running
        )
        if len(running) < len(self.running):
            self.running = running
            self._turns = cycle(running)

    def winner(self, tick: float) -> tuple[int, ...] | None:
        """The shape to take: another than the default only if it is faster beyond doubt.

        None: there were too few samples.
        """
        usual, doubt = self.default.estimate(tick)
        if usual == inf:
            return None
        best, (mean, error) = min(
            ((trial, trial.estimate(tick)) for trial in self.running), key=lambda found: found[1]
        )
        gained = usual - mean > max(LEAST_GAIN * usual, 2 * hypot(doubt, error))
        return best.shape if gained else self.default.shape
