"""Numbers of an image's rows in a sequence of tokens: beyond 32 bits, where no token id is."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NO_TOKEN", "is_seen", "key_of", "row_of", "words_only"]

NO_TOKEN = 2**32 - 1
"""Stands for such a row where a word of 32 bits is needed: a token that no table has."""


def is_seen(token: int) -> bool:
    """Whether a number is an image's row, and no token."""
    return token > NO_TOKEN


def key_of(token: int) -> int:
    """Whose row it is: ``images.prepared.PreparedImage.key``."""
    return token >> 32


def row_of(token: int) -> int:
    """Which of its rows."""
    return token & NO_TOKEN


def words_only(tokens: Sequence[int]) -> list[int]:
    """The tokens of a text, without the rows of its images."""
    return [token for token in tokens if token <= NO_TOKEN]
