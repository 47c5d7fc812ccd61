"""What a load reports while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from webllm_py.errors import SourceError
from webllm_py.units import size

__all__ = ["LoadProgress", "LoadTimes", "ProgressCallback", "ProgressReporter", "Stage"]

# Between two reports of one stage: more often nobody sees, and a small model has many tensors.
EVERY_SECONDS = 0.05

Stage: TypeAlias = Literal["opening", "tokenizer", "weights", "kernels", "ready"]


@dataclass(frozen=True)
class LoadProgress:
    """One report.

    Attributes:
        stage: what is being done.
        loaded: bytes of weights on the GPU so far.
        total: bytes of weights in all; None before the header is read.
        bytes_per_second: since the weights began; None before them.
        text: the same for people.
        seconds_left: until the weights are there, at this rate; None where it is not known.
        file: whose weights are on their way.
        files: of each file whose weights came so far, their bytes.
        problem: what went wrong with a server that is asked again soon; None while all goes well.
    """

    stage: Stage
    loaded: int
    total: int | None
    bytes_per_second: float | None
    text: str
    seconds_left: float | None = None
    file: str | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None


ProgressCallback: TypeAlias = Callable[[LoadProgress], object]


class LoadTimes:
    """Where the seconds of a load went. Some of it goes on side by side.

    Attributes:
        seconds: of what is done: "header" (opening the file and the GPU, metadata), "tokenizer"
            (vocabulary and merges), "kernels" (compiling those of a usual request, recording their
            plans), "weights" (fetching and placing them; the tokenizer's among these), "waited"
            (that for bytes, of the weights'), "tuning" (what the load took longer for it); and from
            the beginning, "asked" (until kernels were being compiled) and "total".
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def end(self, name: str) -> None:
        """Something ends that began with the load."""
        self.seconds[name] = time.perf_counter() - self._began

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure what is done in the block."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


class ProgressReporter:
    """Counts bytes and calls the user's callback at every stage, and as bytes arrive."""

    def __init__(self, callback: ProgressCallback | None):
        self._callback = callback
        self._started = 0.0
        self._reported = 0.0
        self.times = LoadTimes()
        self.loaded = 0
        self.total: int | None = None
        self._file: str | None = None
        self._files: dict[str, int] = {}
        self._stage: Stage = "opening"

    def stage(self, stage: Stage, text: str, *, total: int | None = None) -> None:
        """A new stage begins; ``total`` bytes of weights are known from then on."""
        if total is not None:
            self.total = total
            self._started = time.monotonic()
        self._stage = stage
        self._report(stage, text)

    def retrying(self, error: SourceError, seconds: float) -> None:
        """Report that a server failed, and is asked again in ``seconds``."""
        when = f" in {seconds:.0f} s" if seconds >= 1 else ""
        self._report(self._stage, f"Trying again{when}: {error}", problem=str(error))

    def again(self) -> None:
        """Count from the beginning: the weights are fetched again."""
        self.loaded = 0
        self._files = {}

    def advance(self, nbytes: int, file: str | None = None) -> None:
        """Count ``nbytes`` more of a file's weights that are on the GPU, and report."""
        self.loaded += nbytes
        if file is not None:
            self._file = file
            self._files[file] = self._files.get(file, 0) + nbytes
        if time.monotonic() < self._reported + EVERY_SECONDS and self.loaded != self.total:
            return
        text = f"{size(self.loaded)} of {size(self.total or 0)}"
        if rate := self._rate():
            text += f", {size(rate)}/s"
        left = self._seconds_left()
        if left is not None and left >= 1:
            text += f", {left:.0f} s left"
        self._report("weights", text)

    def _rate(self) -> float | None:
        elapsed = time.monotonic() - self._started
        return self.loaded / elapsed if self.loaded and elapsed > 0 else None

    def _seconds_left(self) -> float | None:
        rate = self._rate()
        return (self.total - self.loaded) / rate if rate and self.total is not None else None

    def _report(self, stage: Stage, text: str, problem: str | None = None) -> None:
        self._reported = time.monotonic()
        if self._callback:
            self._callback(
                LoadProgress(
                    stage,
                    self.loaded,
                    self.total,
                    self._rate(),
                    text,
                    self._seconds_left(),
                    self._file,
                    dict(self._files),
                    problem,
                )
            )
