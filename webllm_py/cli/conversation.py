"""The messages of a chat, and what is typed into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

__all__ = ["Command", "Conversation", "read_message"]

FENCE = '"""'


@dataclass
class Conversation:
    """What was said so far.

    Attributes:
        system: instructions that come first.
        images: paths and addresses of those that go with the next question.
    """

    system: str | None = None
    turns: list[dict[str, Any]] = field(default_factory=list)
    images: list[str | PathLike[str]] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages for the next request."""
        if not self.system:
            return list(self.turns)
        return [{"role": "system", "content": self.system}, *self.turns]

    def ask(self, text: str) -> None:
        """The user says something, and shows the images."""
        parts: list[dict[str, Any]] = [{"type": "image", "image": image} for image in self.images]
        content = [*parts, {"type": "text", "text": text}] if parts else text
        self.turns.append({"role": "user", "content": content})
        self.images.clear()

    def answer(self, text: str) -> None:
        """The model answered; with nothing, and the question is taken back."""
        if text:
            self.turns.append({"role": "assistant", "content": text})
        else:
            self.turns.pop()

    def clear(self) -> None:
        """Forget everything but the instructions."""
        self.turns.clear()
        self.images.clear()


@dataclass(frozen=True)
class Command:
    """A line that begins with a slash: ``/name rest``."""

    name: str
    rest: str

    @classmethod
    def of(cls, message: str) -> Command | None:
        """The command in a message; None for something to say."""
        if not message.startswith("/") or message.startswith("//"):
            return None
        name, _, rest = message[1:].partition(" ")
        return cls(name.strip(), rest.strip())


def said(message: str) -> str:
    """What a message says: a doubled slash at its beginning stands for one."""
    return message[1:] if message.startswith("//") else message


def read_message(read_line: Callable[[bool], str]) -> str:
    """The next message: a line; more of them after a backslash at its end, or between fences.

    Args:
        read_line: the next line without its end; told whether it goes on with a message. Raises
            EOFError at the end, which ends a message that has begun.
    """
    line = read_line(False)
    if line.lstrip().startswith(FENCE):
        return fenced(line.lstrip().removeprefix(FENCE), read_line)
    lines = [line]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        try:
            lines.append(read_line(True))
        except EOFError:
            break
    return "\n".join(lines).strip()


def fenced(line: str, read_line: Callable[[bool], str]) -> str:
    """The lines up to the closing fence."""
    lines = []
    while not line.rstrip().endswith(FENCE):
        lines.append(line)
        try:
            line = read_line(True)
        except EOFError:
            break
    else:
        lines.append(line.rstrip().removesuffix(FENCE))
    return "\n".join(lines).strip("\n")
