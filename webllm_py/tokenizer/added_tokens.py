"""Tokens that are cut out of the text before the model sees it: specials and other added tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from webllm_py.tokenizer.unicode import WHITE_SPACE, word_set

__all__ = ["AddedToken", "AddedTokenSplitter"]


@dataclass(frozen=True)
class AddedToken:
    """One added token, with the flags of tokenizer.json.

    Attributes:
        special: a control token, which decoding can hide and plain text can be kept from naming.
        lstrip, rstrip: it takes the white space before or behind it.
        single_word: it counts only where no word character touches it.
        normalized: it is looked for in the normalized text, not in the text as given.
        pattern: what it looks like there, where that is not its text.
    """

    id: int
    text: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    pattern: str = ""


class AddedTokenSplitter:
    """Finds added tokens: leftmost first, the longest of those that begin there."""

    def __init__(self, tokens: Iterable[AddedToken]):
        self._tokens: dict[str, AddedToken] = {}
        lengths: dict[str, set[int]] = {}
        for token in tokens:
            pattern = token.pattern or token.text
            if pattern:
                self._tokens[pattern] = token
                lengths.setdefault(pattern[0], set()).add(len(pattern))
        # Looked up by first character and length: a vocabulary can have thousands of added
        # tokens, and one regular expression of them all takes long to compile.
        self._lengths = {char: sorted(each, reverse=True) for char, each in lengths.items()}
        self._first = re.compile("|".join(map(re.escape, lengths)))

    def split(self, text: str) -> Iterator[tuple[int, str | AddedToken]]:
        """Text between tokens, and tokens, in order, each with its place in ``text``."""
        done = 0
        for start, stop, token in self._matches(text):
            if token.lstrip:
                while start > done and text[start - 1] in WHITE_SPACE:
                    start -= 1
            if token.rstrip:
                while stop < len(text) and text[stop] in WHITE_SPACE:
                    stop += 1
            if start > done:
                yield done, text[done:start]
            yield start, token
            done = stop
        if done < len(text):
            yield done, text[done:]

    def _matches(self, text: str) -> Iterator[tuple[int, int, AddedToken]]:
        if not self._tokens:
            return
        at = 0
        while found := self._first.search(text, at):
            start = found.start()
            at = start + 1
            for length in self._lengths[text[start]]:
                token = self._tokens.get(text[start : start + length])
                if token is not None:
                    at = start + length
                    if not token.single_word or _stands_alone(text, start, at):
                        yield start, at, token
                    break


def _stands_alone(text: str, start: int, stop: int) -> bool:
    around = text[start - 1 : start] + text[stop : stop + 1]
    return not any(char in word_set() for char in around)
