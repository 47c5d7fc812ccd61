"""Output for terminals: colours where they are wanted, no control characters from models."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TextIO

__all__ = ["Style", "printable", "width_of"]

# All of C0 and C1 but tab and newline: a model must not move the cursor or set the title.
CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


@dataclass(frozen=True)
class Style:
    """Colours by their purpose; plain text where ``colour`` is off."""

    colour: bool

    @classmethod
    def of(cls, stream: TextIO) -> Style:
        """Colours for a terminal, unless the variable NO_COLOR (no-color.org) is set."""
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        if not stream.isatty() or plain:
            return cls(False)
        if os.name == "nt":
            os.system("")  # makes the Windows console follow escape sequences
        return cls(True)

    def bold(self, text: str) -> str:
        """A heading."""
        return self._in("1", text)

    def dim(self, text: str) -> str:
        """Beside the point."""
        return self._in("2", text)

    def red(self, text: str) -> str:
        """Something failed."""
        return self._in("1;31", text)

    def cyan(self, text: str) -> str:
        """Where to type, and what is running."""
        return self._in("1;36", text)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def printable(text: str) -> str:
    """Text of a model, or of its files, without control characters other than tab and newline."""
    return text.translate(CONTROLS)


def width_of(stream: TextIO) -> int:
    """Columns of the terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns
