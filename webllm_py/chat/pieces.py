"""The parts of an answer's text, a piece at a time: reasoning, content, and calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

__all__ = ["ContentParser", "Kind", "Parser", "Piece", "Reply", "held_back"]

Kind: TypeAlias = Literal["content", "reasoning", "name", "arguments"]


class Piece(NamedTuple):
    """Text of one kind. A name begins a call; arguments are JSON text of the newest one."""

    kind: Kind
    text: str


class Parser(Protocol):
    """Tells the kinds of text apart, whatever pieces it comes in; holds back only what may yet
    turn out to be something else."""

    def push(self, text: str) -> list[Piece]:
        """Take the next text."""

    def end(self) -> list[Piece]:
        """What was held back, once no more text comes."""


class ContentParser:
    """Reads answers that are nothing but content."""

    def push(self, text: str) -> list[Piece]:
        return [Piece("content", text)] if text else []

    def end(self) -> list[Piece]:
        return []


@dataclass
class Reply:
    """All pieces put together.

    Attributes:
        calls: name and arguments of each.
    """

    content: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, pieces: Iterable[Piece]) -> Reply:
        """The reply that these pieces make."""
        reply = cls()
        for kind, text in pieces:
            if kind == "name":
                reply.calls.append((text, ""))
            elif kind == "arguments":
                name, before = reply.calls[-1]
                reply.calls[-1] = (name, before + text)
            elif kind == "reasoning":
                reply.reasoning += text
            else:
                reply.content += text
        return reply


def held_back(text: str, marks: Iterable[str]) -> int:
    """How many characters at the end of ``text`` may be white space before a mark, or its
    beginning."""
    longest = 0
    for mark in marks:
        for size in range(min(len(mark) - 1, len(text)), longest, -1):
            if text.endswith(mark[:size]):
                longest = size
                break
    kept = text[: len(text) - longest]
    return longest + len(kept) - len(kept.rstrip())
