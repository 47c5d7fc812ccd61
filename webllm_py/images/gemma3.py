"""Gemma 3's images (arXiv 2503.19786): the whole, resized to a square; where it is asked for, crops
of a long image behind it (pan and scan)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.errors import CorruptCheckpointError
from webllm_py.images.layout import Layout, Resize, Tile
from webllm_py.images.resampling import resampling_of

__all__ = ["Gemma3Processor", "gemma3_processor"]

BILINEAR = 2
START, END = "\n\n<start_of_image>", "<end_of_image>\n\n"
BEFORE, BETWEEN = "Here is the original image ", " and here are some crops to help you see better "
# What the processor takes where the checkpoint does not say it.
LEAST, MOST, RATIO = 256, 4, 1.2


@dataclass(frozen=True)
class Gemma3Processor:
    """See ``images.layout.Processor``.

    Attributes:
        tile: pixels along a side.
        rows: of a tile, in the prompt.
        crops: whether long images are cropped where nothing else is asked.
        least: pixels along a crop's side.
        most: crops of an image.
        ratio: of an image's sides, from which it is cropped.
    """

    tile: int
    rows: int
    kind: int = BILINEAR
    crops: bool = False
    least: int = LEAST
    most: int = MOST
    ratio: float = RATIO
    placeholder: str = "<start_of_image>"

    def layout(self, width: int, height: int, detail: str) -> Layout:
        """``detail="low"`` sees the whole image only, "high" crops of a long one as well."""
        boxes = [(0, 0, width, height)]
        if detail == "high" or (detail == "auto" and self.crops):
            boxes += self._crops(width, height)
        resizes = tuple(Resize(0, self.tile, self.tile, self.kind, box=box) for box in boxes)
        tiles = tuple(Tile(i + 1) for i in range(len(boxes)))
        return Layout(resizes, tiles, self._prompt(len(boxes)))

    def _prompt(self, count: int) -> tuple[str | int, ...]:
        """What stands for the whole image, and its crops if there are any."""
        if count == 1:
            return (START, self.rows, END)
        pieces: list[str | int] = [BEFORE + START, self.rows, END + BETWEEN + START, self.rows]
        for _ in range(count - 2):
            pieces += [f"{END} {START}", self.rows]
        return (*pieces, END)

    def _crops(self, width: int, height: int) -> list[tuple[int, int, int, int]]:
        """Left, top, width and height of each crop, side by side along the longer side."""
        long, short = max(width, height), min(width, height)
        if long / short < self.ratio:
            return []
        count = min(long // self.least, math.floor(long / short + 0.5))
        count = min(self.most, max(2, count))
        length = math.ceil(long / count)
        if min(length, short) < self.least:
            return []
        spans = [(at, min(length, long - at)) for at in range(0, length * count, length)]
        if width >= height:
            return [(at, 0, across, height) for at, across in spans]
        return [(0, at, width, down) for at, down in spans]


def gemma3_processor(config: Mapping[str, Any], tile: int, rows: int) -> Gemma3Processor:
    """The processor that preprocessor_config.json describes.

    Args:
        tile: what the vision tower sees, in pixels along a side.
        rows: of it, in the prompt.

    Raises:
        CorruptCheckpointError: sizes that cannot be, or are not the tower's.
        UnsupportedModelError: an option that this version does not run.
    """
    size = config.get("size", {"height": tile, "width": tile})
    if size != {"height": tile, "width": tile}:
        raise CorruptCheckpointError(
            f"preprocessor_config.json resizes images to {size!r}, and the vision tower sees "
            f"{tile} by {tile} pixels"
        )
    kind = resampling_of(config, BILINEAR)
    return Gemma3Processor(
        tile,
        rows,
        kind,
        crops=config.get("do_pan_and_scan") is True,
        least=int(number(config, "min_crop_size", 1, LEAST)),
        most=int(number(config, "max_num_crops", 2, MOST)),
        ratio=number(config, "min_ratio_to_activate", 1, RATIO),
    )


def number(config: Mapping[str, Any], name: str, least: int, default: float) -> float:
    """A number of pan and scan, which is ``least`` or more."""
    name = f"pan_and_scan_{name}"
    found = default if config.get(name) is None else config[name]
    if not isinstance(found, int | float) or isinstance(found, bool) or not found >= least:
        raise CorruptCheckpointError(f"preprocessor_config.json says {name} = {found!r}")
    return found
