"""Rows of images in a sequence of tokens: as numbers beyond 32 bits, where no token id is."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "NO_TOKEN",
    "before_image",
    "image_key",
    "image_row",
    "is_image_row",
    "rows_ahead",
    "rows_of_image",
    "without_images",
]

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


def goes_on(tokens: Sequence[int], place: int) -> bool:
    """Whether the one at a place is a row of an image that the one before it is a row of too."""
    return (
        0 < place < len(tokens)
        and is_image_row(tokens[place - 1])
        and tokens[place] == tokens[place - 1] + 1
    )


def rows_of_image(tokens: Sequence[int], start: int) -> int:
    """How many rows of one image follow each other from a place on; 0 where there is a token."""
    if not is_image_row(tokens[start]):
        return 0
    end = start + 1
    while goes_on(tokens, end):
        end += 1
    return end - start


def before_image(tokens: Sequence[int], place: int) -> int:
    """Where the image begins that a cut at a place would go through; else the place itself."""
    while goes_on(tokens, place):
        place -= 1
    return place


def rows_ahead(tokens: Sequence[int]) -> list[int]:
    """How many rows of the same image are behind each."""
    ahead: list[int] = []
    while len(ahead) < len(tokens):
        rows = rows_of_image(tokens, len(ahead))
        ahead += range(rows - 1, -1, -1) if rows else (0,)
    return ahead
