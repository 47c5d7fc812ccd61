"""A program on a terminal, as a person sees it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

# Ctrl-C reaches a program only through the controlling terminal of its session, and only if it does
# not ignore it, as what a background job starts would.
TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """Runs Python with these words on a pseudo-terminal of 80 columns.

    Args:
        environment: variables besides a clean set.
    """

    def __init__(self, *words: str, environment: dict[str, str] | None = None):
        self._controller, terminal = pty.openpty()
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *words],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env={**kept, "TERM": "xterm-256color", "INPUTRC": os.devnull, **(environment or {})},
        )
        os.close(terminal)
        self.text = ""
        self._read = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._controller)

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """What comes up to this text, which was not waited for before."""
        end = time.monotonic() + seconds
        while (at := self.text.find(text, self._read)) < 0:
            if time.monotonic() > end or not self._receive():
                raise AssertionError(f"{text!r} did not come; there is {self.text!r}")
        start, self._read = self._read, at + len(text)
        return self.text[start : self._read]

    def type(self, text: str) -> None:
        """Press keys; "\\x03" is Ctrl-C, "\\x04" Ctrl-D."""
        os.write(self._controller, text.encode())

    def settle(self) -> None:
        """Wait until the program does nothing but wait itself."""
        state = Path(f"/proc/{self.process.pid}/stat")
        asleep = 0
        while asleep < 5:
            time.sleep(0.02)
            if state.exists():  # Linux; elsewhere a tenth of a second must do
                asleep = asleep + 1 if state.read_text().rpartition(")")[2].split()[0] == "S" else 0
            else:
                asleep += 1

    def ends(self, seconds: float = 60) -> int:
        """The exit code, when it has ended; the rest of the text is read."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._receive():
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def _receive(self) -> bool:
        if not select.select([self._controller], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self._controller, 1 << 16)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.text += data.decode(errors="replace")
        return bool(data)
