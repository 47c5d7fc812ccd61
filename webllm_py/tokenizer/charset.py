"""Sets of code points as sorted ranges, and how they are written in a ``re`` pattern."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CharSet"]

_LAST = 0x10FFFF


@dataclass(frozen=True)
class CharSet:
    """Code points as inclusive ranges: sorted, apart from each other, never touching."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, *parts: str | tuple[int, int]) -> CharSet:
        """The characters of the strings, and the inclusive ranges, among ``parts``."""
        ranges: list[tuple[int, int]] = []
        for part in parts:
            if isinstance(part, str):
                ranges += [(ord(char), ord(char)) for char in part]
            else:
                ranges.append(part)
        return cls(_merged(ranges))

    def __or__(self, other: CharSet) -> CharSet:
        return CharSet(_merged([*self.ranges, *other.ranges]))

    def __and__(self, other: CharSet) -> CharSet:
        return ~(~self | ~other)

    def __sub__(self, other: CharSet) -> CharSet:
        return self & ~other

    def __invert__(self) -> CharSet:
        gaps = []
        start = 0
        for low, high in self.ranges:
            if start < low:
                gaps.append((start, low - 1))
            start = high + 1
        if start <= _LAST:
            gaps.append((start, _LAST))
        return CharSet(tuple(gaps))

    def __contains__(self, char: str) -> bool:
        code = ord(char)
        return any(low <= code <= high for low, high in self.ranges)

    def pattern(self) -> str:
        """The set as a character class of ``re``."""
        if not self.ranges:
            return "(?!)"  # ``re`` has no empty class; this matches nothing either
        return "[" + "".join(map(_range_pattern, self.ranges)) + "]"


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _range_pattern(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return _escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}"


def _escaped(code: int) -> str:
    # Only ASCII punctuation has a meaning inside a class; plain characters parse faster.
    char = chr(code)
    return f"\\x{code:02x}" if code < 0x80 and not char.isalnum() else char
