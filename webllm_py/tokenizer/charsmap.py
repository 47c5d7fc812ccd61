"""SentencePiece's compiled normalization rules (precompiled_charsmap), as their two readers do.

Little-endian: the size of a trie in bytes, the trie, then the normalized texts, each ended by a
zero byte. The trie is a double array of 32-bit units (Aoe 1989, in the layout of darts-clone); its
values say where a text begins.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterator
from functools import cache
from itertools import islice

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.charset import CharSet
from webllm_py.tokenizer.normalizers import Normalizer
from webllm_py.tokenizer.unicode import property_set

__all__ = ["by_grapheme", "by_longest_match"]

_SHORT = 6  # bytes from which a grapheme is looked up character by character
_CACHED = 1 << 14


class _CharsMap:
    """Rules: what a run of bytes becomes."""

    def __init__(self, data: bytes):
        size = int.from_bytes(data[:4], "little")
        if len(data) < 4 or size % 4 or not 4 <= size <= len(data) - 4:
            raise TokenizerError("the tokenizer's character map (precompiled_charsmap) is damaged")
        self._units = array("I", data[4 : 4 + size])
        if sys.byteorder == "big":
            self._units.byteswap()
        self._texts = data[4 + size :]

    def prefixes(self, key: bytes, start: int = 0) -> Iterator[tuple[int, str]]:
        """The rules for what stands from ``start`` on, shortest first: its end, the text for it."""
        units, at = self._units, 0
        unit = units[0]
        for end in range(start, len(key)):
            byte = key[end]
            at ^= (unit >> 10) << ((unit & 0x200) >> 6) ^ byte
            if at >= len(units):
                return
            unit = units[at]
            if unit & 0x800000FF != byte:
                return
            if unit & 0x100:
                leaf = at ^ (unit >> 10) << ((unit & 0x200) >> 6)
                if leaf < len(units):
                    yield end + 1, self._text(units[leaf] & 0x7FFFFFFF)

    def _text(self, start: int) -> str:
        text = self._texts[start : self._texts.find(b"\0", start) % (len(self._texts) + 1)]
        return text.decode("utf-8", "replace")


def by_longest_match(data: bytes) -> Normalizer:
    """As SentencePiece does: the longest rule that matches, from left to right.

    Raises:
        TokenizerError: the rules are damaged.
    """
    rules = _CharsMap(data)

    def apply(text: str, at_start: bool) -> str:
        key = text.encode()
        out: list[str] = []
        at = done = 0  # in bytes
        for char in text:
            if at >= done:
                found = (at, char)
                for found in rules.prefixes(key, at):  # noqa: B007 - the last is the longest
                    pass
                done, new = found
                out.append(new)
            at += len(char.encode())
        return "".join(out)

    return apply


def by_grapheme(data: bytes) -> Normalizer:
    """As tokenizer.json's Precompiled does.

    It looks a grapheme cluster up as a whole where that is short, and takes the *shortest* rule for
    what it begins with in place of all of it; else its characters one by one.

    Raises:
        TokenizerError: the rules are damaged.
    """
    rules = _CharsMap(data)

    def rule(text: str) -> str | None:
        return next((found for _, found in islice(rules.prefixes(text.encode()), 1)), None)

    def changed(cluster: str) -> str:
        if len(cluster.encode()) < _SHORT and (found := rule(cluster)) is not None:
            return found
        each = ((char, rule(char)) for char in cluster)
        return "".join(char if found is None else found for char, found in each)

    known: dict[str, str] = {}

    def replaced(match: re.Match[str]) -> str:
        cluster = match[0]
        if cluster not in known:
            if len(known) >= _CACHED:
                known.clear()
            known[cluster] = changed(cluster)
        return known[cluster]

    return lambda text, at_start: _graphemes().sub(replaced, text)


@cache
def _graphemes() -> re.Pattern[str]:
    """Extended grapheme clusters (UAX #29) as far as they can be shorter than 6 bytes: emoji
    sequences, flags and Hangul written in jamo are longer whatever they are joined to."""
    joiners = CharSet.of("\u200c\u200d", (0x1F3FB, 0x1F3FF))
    extends = property_set("M") | joiners | CharSet.of("\u0e33\u0eb3\uff9e\uff9f")
    breaks = (
        property_set("Cc") | property_set("Cf") | property_set("Zl") | property_set("Zp")
    ) - joiners
    prepends = CharSet.of((0x600, 0x605), "\u06dd\u070f\u08e2\u0890\u0891\u0d4e")
    base = ~(breaks - prepends)
    return re.compile(
        f"\r\n|{prepends.pattern()}*{base.pattern()}{extends.pattern()}*|.", re.DOTALL
    )
