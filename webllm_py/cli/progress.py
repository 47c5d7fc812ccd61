"""One line on standard error that says how far loading has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from webllm_py.cli.terminal import Style, width_of
from webllm_py.units import size

if TYPE_CHECKING:
    from webllm_py.runtime.weights.progress import LoadProgress

__all__ = ["ProgressLine"]

BAR_WIDTH = 24


class ProgressLine:
    """Overwrites one line of a terminal; writes nothing anywhere else."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._style = Style.of(stream)
        self._live = stream.isatty()

    def __call__(self, progress: LoadProgress) -> None:
        """Show a report."""
        if self._live:
            self._write(line_of(progress, self._style, width_of(self._stream) - 1))

    def say(self, text: str) -> None:
        """Show what else is going on."""
        if self._live:
            self._write(self._style.dim(text[: width_of(self._stream) - 1]))

    def clear(self) -> None:
        """Take the line away."""
        if self._live:
            self._write("")

    def _write(self, line: str) -> None:
        self._stream.write(f"\r\x1b[K{line}")
        self._stream.flush()


def line_of(progress: LoadProgress, style: Style, width: int) -> str:
    """A report as a line of at most ``width`` columns."""
    if progress.stage != "weights" or not progress.total:
        return style.dim(f"{progress.text} ..."[:width])
    done = progress.loaded / progress.total
    bar = bar_of(done)
    text = f" {done:4.0%}  {size(progress.loaded)} of {size(progress.total)}"
    if progress.bytes_per_second:
        text += f", {size(progress.bytes_per_second)}/s"
    if len(bar) + len(text) > width:
        return style.dim(text.strip()[:width])
    return style.cyan(bar) + style.dim(text)


def bar_of(done: float) -> str:
    """A bar of fixed width, filled by eighths of a character."""
    eighths = round(min(done, 1.0) * BAR_WIDTH * 8)
    full, rest = divmod(eighths, 8)
    partial = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * full + partial).ljust(BAR_WIDTH, "░")
