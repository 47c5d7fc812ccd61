"""What a load's tuning came to."""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.runtime.tuning.choices import Choices

__all__ = ["TuningReport"]


@dataclass(frozen=True)
class TuningReport:
    """What was tuned.

    Attributes:
        shapes: those in use that were found on this adapter, by problem.
        problems: how many there are.
        found: how many of the shapes this load found.
        seconds: that the load took longer for it.
        slow: whether kernels compile too slowly here to be tried unasked.
    """

    shapes: Choices
    problems: int
    found: int = 0
    seconds: float = 0.0
    slow: bool = False

    def __str__(self) -> str:
        """For people: "5 of 6 shapes tuned in 0.21 s"."""
        kept = len(self.shapes) - self.found
        if self.found:
            before = f", {kept} before" if kept else ""
            return f"{self.found} of {self.problems} shapes tuned in {self.seconds:.2f} s{before}"
        if kept:
            return f"{kept} of {self.problems} shapes as tuned before"
        return "defaults, kernels compile too slowly to try others" if self.slow else "defaults"
