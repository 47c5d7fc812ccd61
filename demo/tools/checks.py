"""Commands run side by side, each line that they print behind the command's name."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

__all__ = ["Result", "run_in_front", "run_side_by_side"]

Command = Sequence[str | Path]

LAST_LINES = 80


class Result(NamedTuple):
    """How a command ended: its exit status (0 is well), the seconds that it took, and its last
    lines if they were kept.
    """

    status: int
    seconds: float
    end: Sequence[str] = ()


def run_side_by_side(
    commands: Mapping[str, Command], at_once: int, needs: Mapping[str, str] | None = None
) -> dict[str, Result]:
    """Start the commands in their order, ``at_once`` of them running; how each ended.

    Ctrl+C reaches what runs by itself, and what has not begun does not begin.

    Args:
        needs: by the name of a command, that of one before it that must have ended well.
    """
    width, needs = max(map(len, commands)), needs or {}
    with ThreadPoolExecutor(at_once) as pool:
        running: dict[str, Future[Result]] = {}
        for name, command in commands.items():
            needed = running.get(needs.get(name, ""))
            running[name] = pool.submit(_run, f"{name:<{width}} | ", command, needed)
        try:
            return {name: future.result() for name, future in running.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_in_front(command: Command) -> Result:
    """Run one that has the terminal to itself."""
    start = time.monotonic()
    status = subprocess.run([str(word) for word in command]).returncode
    return Result(status, time.monotonic() - start)


def _run(prefix: str, command: Command, needed: Future[Result] | None) -> Result:
    if needed is not None and needed.result().status:  # it began before: no two wait for each other
        return Result(1, 0, ("not begun: what it needs failed",))
    start = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        assert process.stdout is not None
        end: deque[str] = deque(maxlen=LAST_LINES)
        for line in process.stdout:
            end.append(line.rstrip())
            # One write a line: those of several commands do not mix.
            print(f"{prefix}{end[-1]}\n", end="", flush=True)
    return Result(process.returncode, time.monotonic() - start, tuple(end))
