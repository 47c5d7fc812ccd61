"""Phi-3-vision's and Phi-3.5-vision's images (arXiv 2404.14219): tiles, and the whole.

The image grows until its tiles are as many as may be, white above and below (or beside) it; behind
the tiles comes all of that, shrunk to one. A row of the prompt that separates ends each line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.errors import CorruptCheckpointError
from webllm_py.images.layout import Layout, Resize, Tile

__all__ = ["Phi3VProcessor", "phi3_v_processor"]

BILINEAR = 2
TILES = 16  # where the checkpoint does not say it


@dataclass(frozen=True)
class Phi3VProcessor:
    """See ``images.layout.Processor``.

    Attributes:
        tile: pixels along a side.
        side: rows of the prompt along the side of a tile.
        tiles: most of an image, but for the whole.
    """

    tile: int
    side: int
    tiles: int

    @property
    def placeholder(self) -> str:
        """The templates know texts alone."""
        return ""

    def layout(self, width: int, height: int, detail: str) -> Layout:
        """``detail="low"`` sees one tile, beside the whole, "high" as many as there may be."""
        tiles = 1 if detail == "low" else self.tiles
        turned = width < height
        long, short = (height, width) if turned else (width, height)
        ratio = long / short
        scale = 1
        while scale * math.ceil(scale / ratio) <= tiles:
            scale += 1
        long = (scale - 1) * self.tile
        short = int(long / ratio)
        across = math.ceil(short / self.tile)
        before = (across * self.tile - short) // 2  # white
        if turned:
            columns, rows, left, top = across, scale - 1, -before, 0
            resize = Resize(0, short, long, BILINEAR, turned=True)
        else:
            columns, rows, left, top = scale - 1, across, 0, -before
            resize = Resize(0, long, short, BILINEAR)
        found = [
            Tile(1, left + column * self.tile, top + row * self.tile)
            for row in range(rows)
            for column in range(columns)
        ]
        whole = Tile(1, left, top, columns * self.tile, rows * self.tile)
        lines = rows * self.side * (columns * self.side + 1) + self.side * (self.side + 1)
        return Layout((resize,), (*found, whole), (lines + 1,), columns)


def phi3_v_processor(config: Mapping[str, Any], tile: int, side: int) -> Phi3VProcessor:
    """The processor that preprocessor_config.json describes.

    Args:
        tile: what the vision tower sees, in pixels along a side.
        side: rows of the prompt along it.

    Raises:
        CorruptCheckpointError: a number that cannot be.
    """
    tiles = config.get("num_crops", TILES)
    if not isinstance(tiles, int) or isinstance(tiles, bool) or not 0 < tiles <= 64:
        raise CorruptCheckpointError(f"preprocessor_config.json says num_crops = {tiles!r}")
    return Phi3VProcessor(tile, side, tiles)
