"""The progress of a build: one line a step, what a long command does, the tail of what failed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["StepFailedError", "Steps"]

_TITLE_WIDTH = 44
_TAIL_LINES = 30


class StepFailedError(Exception):
    """A step failed; the message says what happened and what to do."""


class Steps:
    """Prints ``[k/n] title  note  seconds``; on a terminal also the latest line of what runs."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._number = 0
        self._title = ""
        self._note = ""
        self._live = sys.stdout.isatty()

    @contextmanager
    def step(self, title: str) -> Iterator[Steps]:
        """One step; an exception inside it ends the line and goes on."""
        self._number += 1
        self._title = f"[{self._number}/{self.total}] {title}"
        self._note = ""
        print(f"{self._title:<{_TITLE_WIDTH}} ", end="", flush=True)
        start = time.monotonic()
        try:
            yield self
        except BaseException:
            self._clear()
            print("failed" if not self._live else f"{self._title:<{_TITLE_WIDTH}} failed")
            raise
        seconds = f"{time.monotonic() - start:6.1f} s"
        self._clear()
        if self._live:
            print(f"{self._title:<{_TITLE_WIDTH}} ", end="")
        print(f"{seconds}  {self._note}".rstrip(), flush=True)

    def note(self, text: str) -> None:
        """What the step's line ends with."""
        self._note = text

    def doing(self, text: str) -> None:
        """What goes on at this moment; shown on a terminal only, over the step's own line."""
        if not self._live:
            return
        width = shutil.get_terminal_size().columns - 1
        line = f"{self._title:<{_TITLE_WIDTH}} {text.strip()}"
        print(f"\r\x1b[K{line[:width]}", end="", flush=True)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        hint: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command and return what it printed.

        Raises:
            StepFailedError: it could not be started or ended with an error; carries the end of its
                output and ``hint``.
        """
        words = [str(word) for word in command]
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise StepFailedError(f"{words[0]} could not be started: {error}\n{hint}") from error
        lines: list[str] = []
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                tail.append(line[:400].rstrip())
                self.doing(line)
        if process.returncode:
            shown = "\n".join(f"  | {line}" for line in tail)
            raise StepFailedError(
                f"{' '.join(words)}\nended with status {process.returncode}:\n{shown}\n{hint}"
            )
        return "".join(lines)

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="")
