"""Sets of characters, and how a character is written: as UTF-8, or inside a JSON string."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from webllm_py.grammar.regular import byte_set, choice, sequence
from webllm_py.grammar.term import Regular
from webllm_py.grammar.words import literal

__all__ = [
    "ANY_CHARACTER",
    "Ranges",
    "Writer",
    "inverted",
    "json_escaped",
    "json_text",
    "merged",
    "utf8",
    "without",
]

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint, inclusive ranges of code points."""
Writer = Callable[[Ranges], Regular]

LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
ANY_CHARACTER: Ranges = ((0, LAST),)
SHORT_ESCAPES = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 0x22: '"', 0x5C: "\\"}


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same characters in sorted ranges that do not touch."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def inverted(ranges: Ranges) -> Ranges:
    """Every other character."""
    found = []
    start = 0
    for low, high in ranges:
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        found.append((start, LAST))
    return tuple(found)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """The characters of ``ranges`` that are not in ``others``."""
    return inverted(merged((*inverted(ranges), *others)))


_written: dict[tuple[str, Ranges], Regular] = {}


def utf8(ranges: Ranges) -> Regular:
    """One character of these, in UTF-8; surrogates have no UTF-8 and are left out."""
    key = ("utf8", ranges)
    if key not in _written:
        options = []
        for low, high in without(ranges, (SURROGATES,)):
            options += _utf8_range(low, high)
        _written[key] = choice(*options)
    return _written[key]


def _utf8_range(low: int, high: int) -> list[Regular]:
    for limit in (0x7F, 0x7FF, 0xFFFF):
        if low <= limit < high:
            return _utf8_range(low, limit) + _utf8_range(limit + 1, high)
    first, last = chr(low).encode(), chr(high).encode()
    if len(first) == 1:
        return [_span(low, high)]
    return _byte_range(first, last)


def _byte_range(first: bytes, last: bytes) -> list[Regular]:
    """Texts of one length between two, whose later bytes run over 80-BF."""
    if len(first) == 1:
        return [_span(first[0], last[0])]
    if first[0] == last[0]:
        head = _span(first[0], first[0])
        return [sequence(head, rest) for rest in _byte_range(first[1:], last[1:])]
    size = len(first) - 1
    lowest, highest = b"\x80" * size, b"\xbf" * size
    options = []
    low, high = first[0], last[0]
    if first[1:] != lowest:
        options += _byte_range(first, bytes([low]) + highest)
        low += 1
    if last[1:] != highest:
        options += _byte_range(bytes([high]) + lowest, last)
        high -= 1
    if low <= high:
        options.append(sequence(_span(low, high), *[_span(0x80, 0xBF)] * size))
    return options


def _span(low: int, high: int) -> Regular:
    return byte_set((1 << (high + 1)) - (1 << low))


def json_escaped(ranges: Ranges) -> Regular:
    """One character of these as it stands inside a JSON string.

    Each character has exactly one form here: itself where JSON allows that, else its short escape,
    else ``\\u00xx``. So languages of escaped texts intersect and complement like those of texts.
    """
    key = ("json", ranges)
    if key not in _written:
        special = (*((x, x) for x in range(0x20)), (0x22, 0x22), (0x5C, 0x5C))
        options = [utf8(without(ranges, merged(special)))]
        for code, _ in special:
            if any(low <= code <= high for low, high in ranges):
                options.append(literal(json_text(chr(code))))
        _written[key] = choice(*options)
    return _written[key]


def json_text(text: str) -> bytes:
    """A text in the one form that ``json_escaped`` knows, without the quotes."""
    pieces = []
    for character in text:
        code = ord(character)
        if code in SHORT_ESCAPES:
            pieces.append("\\" + SHORT_ESCAPES[code])
        elif code < 0x20:
            pieces.append(f"\\u{code:04x}")
        else:
            pieces.append(character)
    return "".join(pieces).encode("utf-8", "surrogatepass")
