"""What every family of the corpus is built from: seeded draws, turns, the held-out split.

A family is a function ``(draw) -> Turn``. The split is made where the content is drawn, not
afterwards: ``Draw.keep(key)`` tells whether a key (an arithmetic pair, the clean text of a
question) belongs to the side of the split that is being generated.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "HELD_OUT_SHARE",
    "LETTERS_OFF",
    "LETTERS_ON",
    "Chat",
    "Draw",
    "Family",
    "Noise",
    "Turn",
    "article",
    "capitalise",
    "is_held_out",
    "letters",
    "normalise",
    "table",
    "visible",
    "words",
]

HELD_OUT_SHARE = 12
"""One key in so many is held out."""

# Between these two marks the trainer encodes one token a letter, so that a reversed or random
# word is written letter by letter whatever the merges are. They never reach a reader: ``visible``.
LETTERS_ON, LETTERS_OFF = "\x02", "\x03"

_MARKS = re.compile(f"[{LETTERS_ON}{LETTERS_OFF}]")
_NOT_WORD = re.compile(r"[^\w+\-]+")


def is_held_out(key: str) -> bool:
    """Whether this key belongs to the held-out side; the same in every run and process."""
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def normalise(text: str) -> str:
    """Lower case with every run of punctuation and spaces as one space: the key of a question."""
    return _NOT_WORD.sub(" ", text.lower()).strip()


class Draw(random.Random):
    """A seeded source of choices that knows which side of the split it draws for."""

    def __init__(self, seed: int, *, held_out: bool = False):
        super().__init__(seed)
        self.held_out = held_out

    def keep(self, key: str) -> bool:
        """Whether content with this key may be generated here."""
        return is_held_out(key) == self.held_out

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.random() < probability

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1 (faster than randrange)."""
        return int(self.random() * n)


class Noise:
    """How far a user's text may be disturbed: not at all, case and punctuation, typing errors."""

    NONE, CASE, TYPOS = range(3)


@dataclass(slots=True)
class Turn:
    """One question and its answer.

    Attributes:
        user: what the user writes, clean; noise is added later.
        reply: the whole answer.
        short: the bare answer ("Paris"), where there is one.
        noise: a value of ``Noise``.
        family: name for statistics and evaluation.
        follow: turns that may directly follow this one and lean on it ("And of Spain?").
    """

    user: str
    reply: str
    short: str | None = None
    noise: int = Noise.TYPOS
    family: str = ""
    follow: Callable[[Draw], Turn] | None = None


Family = Callable[[Draw], Turn]


@dataclass(slots=True)
class Chat:
    """A whole training document: messages in OpenAI's shape, and the tools that were offered."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    families: list[str] = field(default_factory=list)


def letters(word: str) -> str:
    """The word, marked to be encoded one token a letter."""
    return f"{LETTERS_ON}{word}{LETTERS_OFF}"


def visible(text: str) -> str:
    """The text as a reader sees it: without the marks."""
    return _MARKS.sub("", text)


def article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def capitalise(text: str) -> str:
    """First character in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def table(text: str, separator: str = ";") -> list[tuple[str, ...]]:
    """Rows of a table written as ``a: b; c: d: e`` (line breaks count as spaces)."""
    rows = (" ".join(row.split()) for row in text.split(separator))
    return [tuple(cell.strip() for cell in row.split(":")) for row in rows if row]


def words(text: str) -> Sequence[str]:
    """The words of a text, split at commas where there are any, else at spaces."""
    if "," in text:
        return tuple(" ".join(w.split()) for w in text.split(",") if w.strip())
    return tuple(text.split())
