"""What is done to the text between added tokens before it is split into words.

A normalizer takes the text and whether it stands at the very start of what is encoded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal

from webllm_py.tokenizer.unicode import WHITE_SPACE

__all__ = [
    "Normalizer",
    "collapse_spaces",
    "lowercase",
    "plain_spaces",
    "prepend",
    "replace",
    "replace_pattern",
    "sequence",
    "strip",
    "unicode_form",
]

Normalizer = Callable[[str, bool], str]


def sequence(normalizers: Sequence[Normalizer]) -> Normalizer:
    """One after the other."""

    def apply(text: str, at_start: bool) -> str:
        for normalizer in normalizers:
            text = normalizer(text, at_start)
        return text

    return apply


def prepend(prefix: str, *, only_at_start: bool = False) -> Normalizer:
    """Puts a prefix before a text that is not empty."""

    def apply(text: str, at_start: bool) -> str:
        return prefix + text if text and (at_start or not only_at_start) else text

    return apply


def replace(old: str, new: str) -> Normalizer:
    """Replaces a string everywhere."""
    return lambda text, at_start: text.replace(old, new)


def replace_pattern(pattern: re.Pattern[str], new: str) -> Normalizer:
    """Replaces every match; ``new`` is taken as it is."""
    return lambda text, at_start: pattern.sub(lambda match: new, text)


def unicode_form(form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> Normalizer:
    """A Unicode normalization form."""
    return lambda text, at_start: unicodedata.normalize(form, text)


def lowercase(text: str, at_start: bool) -> str:
    """Lower case, each character for itself (no final sigma)."""
    return "".join(map(str.lower, text))


# SentencePiece's rules "nmt": control characters go, separators and joiners are spaces.
_CONTROLS = (*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F)
_SEPARATORS = (0x09, 0x0A, 0x0C, 0x0D, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581)
_PLAIN_SPACES = {
    **dict.fromkeys(_CONTROLS),
    **dict.fromkeys((*_SEPARATORS, 0xFEFF, 0xFFFD), " "),
}


def plain_spaces(text: str, at_start: bool) -> str:
    """tokenizer.json's Nmt."""
    return text.translate(_PLAIN_SPACES)


def strip(*, left: bool, right: bool) -> Normalizer:
    """Takes white space off the ends."""

    def apply(text: str, at_start: bool) -> str:
        text = text.lstrip(WHITE_SPACE) if left else text
        return text.rstrip(WHITE_SPACE) if right else text

    return apply


def collapse_spaces(text: str, at_start: bool) -> str:
    """SentencePiece's ``remove_extra_whitespaces``: no spaces at the ends, single ones within.

    At the end it takes off "▁" as well, which it looks for after spaces have become that.
    """
    return " ".join(filter(None, text.split(" "))).rstrip(" ▁")
