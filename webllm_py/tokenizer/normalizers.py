"""Normalizers: what is done to the text between added tokens before it is split into words.

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
