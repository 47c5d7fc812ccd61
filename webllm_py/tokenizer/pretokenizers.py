"""Splitting of normalized text into the words that the model encodes one by one.

A pre-tokenizer takes pieces and whether the first stands at the very start of what is encoded, and
returns smaller pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from webllm_py.tokenizer.byte_level import text_to_chars

__all__ = [
    "BEHAVIORS",
    "Behavior",
    "Metaspace",
    "PreTokenizer",
    "Split",
    "add_prefix_space",
    "map_to_bytes",
    "sequence",
    "split_at_spaces",
]

PreTokenizer = Callable[[list[str], bool], list[str]]
Behavior = Literal["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]

BEHAVIORS: tuple[Behavior, ...] = (
    "Removed",
    "Isolated",
    "MergedWithPrevious",
    "MergedWithNext",
    "Contiguous",
)


def sequence(pre_tokenizers: Sequence[PreTokenizer]) -> PreTokenizer:
    """One after the other."""

    def apply(pieces: list[str], at_start: bool) -> list[str]:
        for pre_tokenizer in pre_tokenizers:
            pieces = pre_tokenizer(pieces, at_start)
        return pieces

    return apply


@dataclass(frozen=True)
class Split:
    """Splits at the matches of a pattern.

    Attributes:
        pattern: without capturing groups.
        behavior: what becomes of the matches, as in tokenizer.json.
        invert: matches are what lies between the pattern's matches.
    """

    pattern: re.Pattern[str]
    behavior: Behavior = "Isolated"
    invert: bool = False

    def __call__(self, pieces: list[str], at_start: bool) -> list[str]:
        words: list[str] = []
        for piece in pieces:
            words += self._split(piece)
        return words

    def _split(self, piece: str) -> Iterable[str]:
        if self.behavior == "Isolated":
            # Most patterns match all of the text, and findall is several times quicker.
            words: list[str] = self.pattern.findall(piece)
            if sum(map(len, words)) == len(piece):
                return filter(None, words)
        return filter(None, _JOIN[self.behavior](self._parts(piece)))

    def _parts(self, piece: str) -> Iterator[tuple[bool, str]]:
        """All of the piece, in order, in parts that are a match or are not."""
        done = 0
        for match in self.pattern.finditer(piece):
            if match.start() > done:
                yield self.invert, piece[done : match.start()]
            yield not self.invert, match[0]
            done = match.end()
        if done < len(piece):
            yield self.invert, piece[done:]


def _removed(parts: Iterable[tuple[bool, str]]) -> Iterator[str]:
    return (text for is_match, text in parts if not is_match)


def _isolated(parts: Iterable[tuple[bool, str]]) -> Iterator[str]:
    return (text for _, text in parts)


def _contiguous(parts: Iterable[tuple[bool, str]]) -> Iterator[str]:
    joined: list[str] = []
    before = False
    for is_match, text in parts:
        if joined and is_match != before:
            yield "".join(joined)
            joined = []
        joined.append(text)
        before = is_match
    yield "".join(joined)


def _merged_with_previous(parts: Iterable[tuple[bool, str]]) -> Iterator[str]:
    """A match ends the text before it; one without such text stands for itself."""
    waiting = ""
    for is_match, text in parts:
        if is_match:
            yield waiting + text
            waiting = ""
        else:
            yield waiting
            waiting = text
    yield waiting


def _merged_with_next(parts: Iterable[tuple[bool, str]]) -> Iterator[str]:
    """A match begins the text behind it; one without such text stands for itself."""
    waiting = ""
    for is_match, text in parts:
        if is_match:
            yield waiting
            waiting = text
        else:
            yield waiting + text
            waiting = ""
    yield waiting


_JOIN: dict[Behavior, Callable[[Iterable[tuple[bool, str]]], Iterator[str]]] = {
    "Removed": _removed,
    "Isolated": _isolated,
    "Contiguous": _contiguous,
    "MergedWithPrevious": _merged_with_previous,
    "MergedWithNext": _merged_with_next,
}


@dataclass(frozen=True)
class Metaspace:
    """Writes spaces as "▁" (or another sign), puts one in front, and may split before each."""

    sign: str = "▁"
    prepend: Literal["first", "always", "never"] = "always"
    split: bool = True

    def __call__(self, pieces: list[str], at_start: bool) -> list[str]:
        marked = []
        for index, piece in enumerate(pieces):
            piece = piece.replace(" ", self.sign)
            wanted = self.prepend == "always" or (
                self.prepend == "first" and at_start and index == 0
            )
            marked.append(
                self.sign + piece if wanted and not piece.startswith(self.sign) else piece
            )
        if not self.split:
            return marked
        return Split(re.compile(re.escape(self.sign)), "MergedWithNext")(marked, at_start)


def add_prefix_space(pieces: list[str], at_start: bool) -> list[str]:
    """A space before every piece that does not begin with one."""
    return [piece if piece.startswith(" ") else " " + piece for piece in pieces]


def map_to_bytes(pieces: list[str], at_start: bool) -> list[str]:
    """Every piece in the byte-level alphabet."""
    return list(map(text_to_chars, pieces))


def split_at_spaces(tokens: Iterable[str]) -> Split | None:
    """A split at "▁" that no BPE merge can cross, or None where there is none.

    SentencePiece encodes the whole text as one word. Where no merged token has "▁" behind another
    character (or none has another character behind "▁"), no merge joins the two sides, so encoding
    them apart gives the same ids, quicker: words repeat, texts do not.

    Args:
        tokens: what merges can make.
    """
    joined = "\uffff".join(tokens)  # a noncharacter, which no token holds
    if "▁" not in joined:
        return None
    if re.search("[^▁\uffff]▁", joined) is None:
        return Split(re.compile("▁+[^▁]*|[^▁]+"))
    if re.search("▁[^▁\uffff]", joined) is None:
        return Split(re.compile("[^▁]*▁+|[^▁]+"))
    return None
