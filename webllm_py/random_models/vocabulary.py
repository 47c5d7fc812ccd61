"""A made vocabulary: texts of the kinds and lengths that real ones have, as masks feel them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, cycle, islice, product

__all__ = ["made_tokens"]

MARKS = ('"', "{", "}", "[", "]", ":", ",", " ", "\n", "\\", "-", ".", "/", "_", "(", ")")
SYLLABLES = [a + b for a, b in product("bcdfghjklmnprstvwz", "aeiou")]
LETTERS = ((0x430, 0x44F), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x627, 0x64A))  # of four scripts


def made_tokens(size: int) -> list[bytes]:
    """``size`` different texts of two bytes or more, always the same.

    Of seven, one is of marks or a number, as long as there are new ones, and two are beyond ASCII;
    the others are words, with a space before or not.
    """
    kinds = cycle([words(), words_beyond(), words(), marks(), words(), words_beyond(), words()])
    found: dict[bytes, None] = {}
    while len(found) < size:
        text = next(next(kinds), "")
        if len(text.encode()) > 1:
            found.setdefault(text.encode())
    return list(found)


def words() -> Iterator[str]:
    """From few syllables to many: each behind a space, alone, and both with a capital."""
    for length in count(1):
        for syllables in product(SYLLABLES, repeat=length):
            word = "".join(syllables)
            yield from (f" {word}", word, f" {word.title()}", word.title())


def words_beyond() -> Iterator[str]:
    """Two letters of scripts beyond ASCII, in turns."""
    pairs = [
        (chr(a) + chr(b) for b in range(low, high) for a in range(low, high))
        for low, high in LETTERS
    ]
    for turn in cycle(pairs):
        yield from islice(turn, 1)


def marks() -> Iterator[str]:
    """Numbers of up to three digits, and up to three marks in a row."""
    yield from (str(number) for number in range(1000))
    for length in (2, 3):
        yield from map("".join, product(MARKS, repeat=length))
