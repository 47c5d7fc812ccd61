"""Rows of images in a sequence of tokens: as numbers beyond 32 bits, where no token id is."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NO_TOKEN", "image_key", "image_row", "is_image_row", "without_images"]

NO_TOKEN = 2**32 - 1
"""Stands for such a row where a word of 32 bits is needed: a token that no table has."""


def is_image_row(token: int) -> bool:
    """Whether a number is an image's row, and no token."""
    return token > NO_TOKEN


def image_key(token: int) -> int:
    """Whose row it is: ``images.prepared.PreparedImage.key``."""
    return token >> 32


def image_row(token: int) -> int:
    """Which of its rows."""
    return token & NO_TOKEN


def without_images(tokens: Sequence[int]) -> list[int]:
    """The tokens of a text, without the rows of its images."""
    return [token for token in tokens if token <= NO_TOKEN]
