"""SmolVLM's and Idefics3's images (arXiv 2504.05299, 2408.12637): tiles of one size, and the whole.

The image grows or shrinks until its longer side is as long as the checkpoint says, then to whole
tiles; behind the tiles comes the whole image at the size of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.errors import CorruptCheckpointError
from webllm_py.images.layout import Layout, Resize, Tile
from webllm_py.images.resampling import resampling_of

__all__ = ["SmolVLMProcessor", "smolvlm_processor"]

LONGEST = 4096  # pixels, whatever the checkpoint says
LANCZOS = 1
AROUND, WHOLE = "<fake_token_around_image>", "<global-img>"


@dataclass(frozen=True)
class SmolVLMProcessor:
    """See ``images.layout.Processor``.

    Attributes:
        longest: of an image before it is cut, in pixels.
        tile: along a side.
        rows: of a tile, in the prompt.
        split: whether an image is cut into tiles where nothing else is asked.
    """

    longest: int
    tile: int
    rows: int
    kind: int = LANCZOS
    split: bool = True
    placeholder: str = "<image>"

    def layout(self, width: int, height: int, detail: str) -> Layout:
        """``detail="low"`` sees the whole image only, "high" its tiles as well."""
        size = scaled(width, height, self.longest)
        resizes = [Resize(0, *size, self.kind)]
        whole = (self.tile, self.tile)
        if detail == "low" or (detail == "auto" and not self.split):
            resizes.append(Resize(1, *whole, self.kind))
            return Layout(tuple(resizes), (Tile(2),), self._single())
        resizes.append(Resize(1, *self._whole_tiles(*size), self.kind))
        columns, rows = resizes[-1].width // self.tile, resizes[-1].height // self.tile
        if columns == rows == 1:
            return Layout(tuple(resizes), (Tile(2),), self._single())
        tiles = [
            Tile(2, column * self.tile, row * self.tile)
            for row in range(rows)
            for column in range(columns)
        ]
        resizes.append(Resize(2, *whole, self.kind))
        return Layout(tuple(resizes), (*tiles, Tile(3)), self._split(rows, columns))

    def _whole_tiles(self, width: int, height: int) -> tuple[int, int]:
        """The size of an image that is to be cut."""
        ratio = width / height
        if width >= height:
            width = self._whole(width)
            return width, self._whole(int(width / ratio))
        height = self._whole(height)
        return self._whole(int(height * ratio)), height

    def _whole(self, length: int) -> int:
        return max(1, math.ceil(length / self.tile)) * self.tile

    def _single(self) -> tuple[str | int, ...]:
        return (AROUND + WHOLE, self.rows, AROUND)

    def _split(self, rows: int, columns: int) -> tuple[str | int, ...]:
        pieces: list[str | int] = []
        for row in range(1, rows + 1):
            for column in range(1, columns + 1):
                newline = "\n" if row > 1 and column == 1 else ""
                pieces += [f"{newline}{AROUND}<row_{row}_col_{column}>", self.rows]
        return (*pieces, f"\n\n{AROUND}{WHOLE}", self.rows, AROUND)


def scaled(width: int, height: int, longest: int) -> tuple[int, int]:
    """A size whose longer side is so long; the other one is even."""
    ratio = width / height
    if width >= height:
        width, height = longest, even(int(longest / ratio))
    else:
        width, height = even(int(longest * ratio)), longest
    width, height = max(width, 1), max(height, 1)
    ratio = width / height
    if width >= height and width > LONGEST:
        width, height = LONGEST, int(LONGEST / ratio)
    elif height > width and height > LONGEST:
        width, height = int(LONGEST * ratio), LONGEST
    return max(width, 1), max(height, 1)


def even(length: int) -> int:
    """The number itself, or the next one."""
    return length + length % 2


def smolvlm_processor(config: Mapping[str, Any], tile: int, rows: int) -> SmolVLMProcessor:
    """The processor that preprocessor_config.json describes.

    Args:
        tile: what the vision tower sees, in pixels along a side.
        rows: of a tile, in the prompt.

    Raises:
        CorruptCheckpointError: sizes that cannot be, or are not the tower's.
        UnsupportedModelError: an option that this version does not run.
    """
    longest = edge(config, "size", 4 * 364)
    own = edge(config, "max_image_size", 364)
    if own != tile:
        raise CorruptCheckpointError(
            f"preprocessor_config.json cuts images into tiles of {own!r} pixels, and the vision "
            f"tower sees {tile}"
        )
    kind = resampling_of(config, LANCZOS)
    return SmolVLMProcessor(longest, tile, rows, kind, config.get("do_image_splitting", True))


def edge(config: Mapping[str, Any], name: str, default: int) -> int:
    """The longest edge of a size."""
    size = config.get(name, {"longest_edge": default})
    found = size.get("longest_edge") if isinstance(size, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found <= 0:
        raise CorruptCheckpointError(f"preprocessor_config.json says {name} = {size!r}")
    return found
