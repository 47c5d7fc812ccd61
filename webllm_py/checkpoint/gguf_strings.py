"""Arrays of strings in a GGUF header: a vocabulary and its merges have hundreds of thousands.

A string is its length, in 8 bytes, and its UTF-8 bytes; where one begins is known when the one
before it is. A regular expression follows that chain, where strings are short, at the speed of
built-in functions. What it passed is kept as one text, and split when a string is asked for: a load
wants to know what stands behind a vocabulary before it needs the vocabulary.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

__all__ = ["LENGTH", "Strings"]

LENGTH = struct.Struct("<Q")

# A run: strings of few bytes, none of them a null, in each of which the first byte of the length is
# a control character. One in 100 of a vocabulary is longer.
LONGEST, MOST_TOGETHER = 31, 4096
LENGTHS = bytes(range(1, LONGEST + 1))
ZEROS = bytes(LENGTH.size - 1)  # the rest of a length; nowhere else in a run
RUN = re.compile(
    b"(?:%s){1,%d}+"
    % (b"|".join(b"\\x%02x\\0{7}[^\\0]{%d}" % (n, n) for n in LENGTHS), MOST_TOGETHER)
)


class Strings(Sequence[str]):
    """The strings of an array, each of them valid UTF-8; ``take`` adds to them, until one is asked
    for."""

    def __init__(self) -> None:
        self._parts: list[str | list[str]] = []  # runs, with zeros before each text; and others
        self._count = 0

    def take(self, buffer: bytes, position: int, count: int) -> int:
        """Add strings that lie whole in the buffer, until there are ``count``.

        Returns:
            The position of the first byte that was not used.

        Raises:
            UnicodeDecodeError: the string behind the last one is not valid UTF-8.
        """
        while self._count < count:
            run = RUN.match(buffer, position)
            end = self._take_run(buffer, position, run.end(), count) if run else None
            end = end or self._take_one(buffer, position)
            if end is None:
                break
            position = end
        return position

    def _take_run(self, buffer: bytes, start: int, end: int, count: int) -> int:
        """Add what matched, but no more than are wanted; the position behind it."""
        found = buffer.count(ZEROS, start, end)
        while found > count - self._count:  # what stands behind the array may look like a string
            end = buffer.rindex(ZEROS, start, end) - 1
            found -= 1
        texts = buffer[start:end].translate(None, LENGTHS)
        if len(texts) < end - start - found:  # a text has such characters too
            while start < end:
                start = self._take_one(buffer, start) or end
            return end
        try:
            self._parts.append(texts.decode())
        except UnicodeDecodeError as error:
            self._count += texts.count(ZEROS, 0, error.start) - 1
            raise
        self._count += found
        return end

    def _take_one(self, buffer: bytes, position: int) -> int | None:
        """Add one of any length; the position behind it, None where it is not whole."""
        start = position + LENGTH.size
        if start > len(buffer):
            return None
        end = start + int(LENGTH.unpack_from(buffer, position)[0])
        if end > len(buffer):
            return None
        text = buffer[start:end].decode()
        if self._parts and isinstance(last := self._parts[-1], list):
            last.append(text)
        else:
            self._parts.append([text])
        self._count += 1
        return end

    @cached_property
    def _strings(self) -> list[str]:
        strings: list[str] = []
        for part in self._parts:
            strings += part if isinstance(part, list) else part.split(ZEROS.decode())[1:]
        self._parts.clear()
        return strings

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._strings[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._strings)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, list | Strings):
            return NotImplemented
        return self._strings == [*other]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._strings)
