"""How an image becomes what a vision model reads: sizes, tiles, and the text around these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["Layout", "Processor", "Resize", "Tile"]


class Resize(NamedTuple):
    """An image made of another one. Image 0 is the decoded one, image i + 1 that of resize i.

    Attributes:
        kind: the filter's number, as Pillow has it.
        turned: whether columns come before rows.
        box: the part of the image that it is made of, as left, top, width and height; None for all.
    """

    source: int
    width: int
    height: int
    kind: int
    turned: bool = False
    box: tuple[int, int, int, int] | None = None


class Tile(NamedTuple):
    """A square that the vision tower sees: of which image, and where its left upper corner is.

    What lies outside that image is white.

    Attributes:
        width, height: of what is shrunk to the square; 0 where it is as large.
    """

    image: int
    left: int = 0
    top: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Layout:
    """What is made of one image.

    Attributes:
        resizes: in order.
        tiles: those that the vision tower sees, in its order.
        prompt: what stands for the image in a prompt: texts, and numbers of rows that come from the
            image, in their order.
        columns: of the tiles that lie side by side, where their rows are read across these.
    """

    resizes: tuple[Resize, ...]
    tiles: tuple[Tile, ...]
    prompt: tuple[str | int, ...]
    columns: int = 0

    @property
    def rows(self) -> int:
        """Rows of the prompt that come from the image."""
        return sum(piece for piece in self.prompt if isinstance(piece, int))


class Processor(Protocol):
    """Lays images out as a checkpoint's own processor does it."""

    @property
    def placeholder(self) -> str:
        """What the chat template writes for an image; empty where it knows texts alone."""

    def layout(self, width: int, height: int, detail: str) -> Layout:
        """The layout of an image of width x height pixels; ``detail``: "low", "high" or "auto"."""
