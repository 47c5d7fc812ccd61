"""Texts into passages: at headings first, then between paragraphs, then between sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

__all__ = ["PAGE_END", "Span", "split"]

PAGE_END = "\f"
Count = Callable[[str], int]

HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)\s*")
UNDERLINE = re.compile(r" {0,3}(=+|-{2,})\s*")  # below a heading of one line
FENCE = re.compile(r"\s*(`{3,}|~{3,})")

# A sentence ends behind its closing marks where another can begin; so does an entry of a list or a
# row of a table. A full stop behind an initial or one of these words ends nothing.
END = re.compile(
    r"(?<=[.!?…])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[¿¡]*[^\s\"'“‘«(\[¿¡a-z])"
    r"|(?<=[。！？])[」』”）]*\s*"
    r"|\n(?=\s*(?:[-*+•|]|\d+[.)])\s)"
)
UNENDED = re.compile(
    r"(?:\b\w|\b(?:approx|bzw|ca|cf|dr|e\.g|ed|eq|etc|fig|i\.e|jr|mr|mrs|ms|no|p|pp|prof|st|usw|vgl"
    r"|vol|vs|z\.b))\.$",
    re.IGNORECASE,
)
LONGEST_UNENDED = 8  # characters: a text of nothing else would be searched from its start each time


@dataclass(frozen=True)
class Span:
    """A passage's place in its text.

    Attributes:
        start: of its first character.
        end: behind its last one.
        headings: those that it stands below, the outermost first.
    """

    start: int
    end: int
    headings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unit:
    """What is not divided: a sentence, or a part of one that is too long."""

    start: int
    end: int
    tokens: int
    last: bool  # of its paragraph


@dataclass(frozen=True)
class Block:
    """A paragraph, or code between fences, below its headings."""

    start: int
    end: int
    section: int
    headings: tuple[str, ...]
    code: bool = False


def split(text: str, count: Count, *, size: int, overlap: int) -> list[Span]:
    """The passages of a text, in order; each is a slice of it.

    Args:
        text: plain or Markdown.
        count: tokens of a piece of it.
        size: most tokens of a passage.
        overlap: most tokens of whole sentences that a passage has in common with the one before,
            where both stand below the same heading.
    """
    passages: list[Span] = []
    for _, section in groupby(blocks(text), attrgetter("section")):
        below = list(section)
        units = [unit for block in below for unit in units_of(text, block, count, size)]
        passages += [Span(*pair, below[0].headings) for pair in packed(units, size, overlap)]
    return passages


def blocks(text: str) -> Iterator[Block]:
    """Paragraphs and code, those below one heading with one number of their section. A heading with
    nothing below it is a paragraph of its own."""
    return BlockReader(text).blocks()


class BlockReader:
    """Reads a text line by line; see ``blocks``."""

    def __init__(self, text: str):
        self._text = text
        self._trail: list[tuple[int, str]] = []  # the headings above: levels and titles
        self._section = 0
        self._start = self._end = 0  # of the paragraph, or code, that grows
        self._fence = ""  # what opened the code
        self._bare: tuple[int, int] | None = None  # a heading that nothing has followed yet

    def blocks(self) -> Iterator[Block]:
        at = 0
        for line in self._text.splitlines(keepends=True):
            begin, at = at, at + len(line)
            yield from self._line(line, begin, at)
        yield from self._flush(at, code=bool(self._fence))
        if self._bare:
            yield self._bare_heading(self._bare)

    def _line(self, line: str, begin: int, at: int) -> Iterator[Block]:
        """The blocks that end with, or before, the line from ``begin`` to ``at``."""
        mark = FENCE.match(line)
        growing = self._end > self._start
        if self._fence:
            self._end = at
            if mark and mark[1].startswith(self._fence):
                yield from self._flush(at, code=True)
                self._fence = ""
        elif mark:
            yield from self._flush(at)
            self._fence, self._start, self._end = mark[1], begin, at
        elif heading := HEADING.fullmatch(line):
            yield from self._flush(at)
            yield from self._heading(len(heading[1]), title_of(heading[2]), (begin, at))
        elif growing and (under := UNDERLINE.fullmatch(line)) and is_line(self._paragraph):
            title, place = self._paragraph.strip(), (self._start, at)
            self._end = self._start
            yield from self._heading(1 if under[1][0] == "=" else 2, title, place)
        elif line.strip():
            self._start, self._end = (self._start if growing else begin), at
        else:
            yield from self._flush(at)
            self._end = self._start
            self._section += PAGE_END in line  # so that a passage is of one page

    @property
    def _paragraph(self) -> str:
        return self._text[self._start : self._end]

    def _flush(self, at: int, *, code: bool = False) -> Iterator[Block]:
        """End the block that grows, if there is one; the next one begins at ``at``."""
        if self._paragraph.strip():
            self._bare = None
            headings = tuple(title for _, title in self._trail)
            yield Block(self._start, self._end, self._section, headings, code)
        self._start = at

    def _heading(self, level: int, title: str, place: tuple[int, int]) -> Iterator[Block]:
        """Begin a section. A heading before it that stayed bare is a block."""
        if self._bare and self._trail and level <= self._trail[-1][0]:
            yield self._bare_heading(self._bare)
        self._section += 1
        above = [entry for entry in self._trail if entry[0] < level]
        self._trail = [*above, (level, title)]
        self._bare, self._start, self._end = place, place[1], place[1]

    def _bare_heading(self, place: tuple[int, int]) -> Block:
        return Block(*place, self._section, tuple(title for _, title in self._trail[:-1]))


def title_of(text: str) -> str:
    """A heading's text without the ``#`` that may close it, behind a space."""
    title = text.rstrip()
    closed = title.rstrip("#")
    return closed.rstrip() if closed[-1:] in ("", " ", "\t") else title


def is_line(text: str) -> bool:
    """Whether a paragraph so far is a single line."""
    return len(text.strip().splitlines()) == 1


def units_of(text: str, block: Block, count: Count, size: int) -> list[Unit]:
    """A block's sentences, or its lines if it is code; what is longer than a passage in parts."""
    bounds = lines if block.code else sentences
    parts = [
        part
        for start, end in bounds(text, block.start, block.end)
        for part in divided(text, start, end, count, size)
    ]
    last = len(parts) - 1
    return [Unit(*part, index == last) for index, part in enumerate(parts)]


def lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where lines with something in them begin and end."""
    for line in text[start:end].splitlines(keepends=True):
        if line.strip():
            yield start, start + len(line.rstrip())
        start += len(line)


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where sentences begin and end, without the space around them."""
    for match in END.finditer(text, start, end):
        before = max(start, match.start() - LONGEST_UNENDED)
        if not UNENDED.search(text, before, match.start()):
            yield from trimmed(text, start, match.end())
            start = match.end()
    yield from trimmed(text, start, end)


def trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The range without the space around it, unless it is nothing but space."""
    piece = text[start:end]
    if piece.strip():
        yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def divided(
    text: str, start: int, end: int, count: Count, size: int
) -> Iterator[tuple[int, int, int]]:
    """The range and its tokens; halved, between words if there are several, until it fits."""
    tokens = count(text[start:end])
    if tokens <= size or end - start < 2:
        yield start, end, tokens
        return
    middle = (start + end) // 2
    space = text.rfind(" ", start + 1, middle)
    cut = space if space > start else middle
    for part in (*trimmed(text, start, cut), *trimmed(text, cut, end)):
        yield from divided(text, *part, count, size)


def packed(units: list[Unit], size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where passages begin and end: as many units as fit, ended with a paragraph where one ends in
    the second half."""
    first = done = 0
    while first < len(units):
        behind, tokens = first, 0
        whole = None  # behind the last paragraph that makes half of a passage
        while behind < len(units) and (behind == first or tokens + units[behind].tokens <= size):
            tokens += units[behind].tokens
            behind += 1
            if behind > done and units[behind - 1].last and tokens * 2 >= size:
                whole = behind
        if behind < len(units):
            behind = whole or behind
        yield units[first].start, units[behind - 1].end
        done = behind
        if behind == len(units):
            return
        first = overlapping(units, first, behind, min(overlap, size - units[behind].tokens))


def overlapping(units: list[Unit], first: int, behind: int, room: int) -> int:
    """The unit that the next passage begins with."""
    start = behind
    while start - 1 > first and units[start - 1].tokens <= room:
        start -= 1
        room -= units[start].tokens
    return start
