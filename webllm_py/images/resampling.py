"""Weights of resized images, as Pillow's ``Image.resize`` computes them (its Resample.c).

A filter is as wide as a pixel of the smaller image, so that nothing that shrinks is left out.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from webllm_py.errors import UnsupportedModelError

__all__ = ["resampling_of", "resize_weights"]

ONE = 1 << 22
"""What a weight of 1 is."""

Filter = tuple[float, Callable[[float], float]]


def triangle(x: float) -> float:
    """Bilinear."""
    return max(0.0, 1.0 - abs(x))


def cubic(x: float) -> float:
    """Bicubic, with a = -0.5."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


def lanczos(x: float) -> float:
    """A sinc cut off by a wider one, with three lobes."""
    return sinc(x) * sinc(x / 3) if -3 <= x < 3 else 0.0


def sinc(x: float) -> float:
    """sin(pi x) / (pi x)."""
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


# By Pillow's numbers, as preprocessor_config.json has them: half their width, and their shape.
FILTERS: Mapping[int, Filter] = {1: (3.0, lanczos), 2: (1.0, triangle), 3: (2.0, cubic)}


def filter_of(number: int) -> Filter:
    """The filter that a checkpoint asks for.

    Raises:
        UnsupportedModelError: another one than bilinear, bicubic and Lanczos.
    """
    if number not in FILTERS:
        raise UnsupportedModelError(f"images cannot be resized with the filter {number!r} here")
    return FILTERS[number]


def resampling_of(config: Mapping[str, Any], default: int) -> int:
    """The number of the filter by which preprocessor_config.json resizes images.

    Raises:
        UnsupportedModelError: as ``filter_of``; or images are not resized, rescaled and normalized.
    """
    for name in ("do_resize", "do_rescale", "do_normalize"):
        if config.get(name, True) is not True:
            raise UnsupportedModelError(f"preprocessor_config.json says {name} = {config[name]!r}")
    number: int = config.get("resample", default)
    filter_of(number)
    return number


def resize_weights(size: int, resized: int, number: int, before: int = 0) -> tuple[int, array[int]]:
    """Words of an entry, and an entry for each resized pixel: see kernels/resample.wgsl.

    Args:
        size, resized: pixels along the axis.
        number: the filter's, as Pillow has it.
        before: pixels that are cut off before those of ``size``.
    """
    half, shape = filter_of(number)
    scale = size / resized
    wide = max(scale, 1.0)
    reach = half * wide
    words = 2 + 2 * math.ceil(reach) + 1
    entries = array("i")
    for pixel in range(resized):
        centre = (pixel + 0.5) * scale
        first = max(0, int(centre - reach + 0.5))
        end = min(size, int(centre + reach + 0.5))
        found = [shape((x - centre + 0.5) / wide) for x in range(first, end)]
        total = sum(found) or 1.0
        entries.extend((before + first, end - first))
        entries.extend(rounded(weight / total) for weight in found)
        entries.extend([0] * (words - 2 - len(found)))
    return words, entries


def rounded(weight: float) -> int:
    """A weight in whole numbers, halves away from 0."""
    return int(weight * ONE + math.copysign(0.5, weight))
