"""A decoded image, and how one is had of the bytes of a file: by Pillow, or by the browser."""

from __future__ import annotations

import asyncio
import hashlib
import io
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from webllm_py.errors import ImageError, SourceError
from webllm_py.fetch.source import Chunk
from webllm_py.optional import optional_module

__all__ = ["MOST_PIXELS", "Image", "decode"]

MOST_PIXELS = 1 << 25  # of a decoded image: 128 MiB, which every device binds at once
MOST_ALONG_A_SIDE = 1 << 16  # Python computes the weights of each when it is resized


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels from the left upper corner on, row by row: red, green, blue and a fourth byte.

    Attributes:
        digest: of what it was decoded from: tells images apart.
    """

    width: int
    height: int
    pixels: Chunk
    digest: bytes


async def decode(data: bytes, param: str) -> Image:
    """The image in the bytes of a file; of several, the first. It is turned as its EXIF data say,
    and stands on white where it is transparent.

    Args:
        param: where the request has it.

    Raises:
        ImageError: they are no image that can be decoded, or one that is too large.
        MissingPackageError: natively, where Pillow is not installed.
    """
    digest = hashlib.sha256(data).digest()
    if sys.platform == "emscripten":
        return await decoded_by_browser(data, digest, param)
    return await asyncio.to_thread(decoded_by_pillow, data, digest, param)


async def decoded_by_browser(data: bytes, digest: bytes, param: str) -> Image:
    """By ``createImageBitmap``; the pixels stay in JavaScript."""
    from webllm_py.fetch.browser import named_errors, to_array

    try:
        with named_errors("an image"):
            found = await decoder()(to_array(data), MOST_PIXELS)
    except SourceError as error:
        raise not_decoded(param, str(error)) from None
    check_size(found.width, found.height, param)
    return Image(found.width, found.height, found.pixels, digest)


@cache
def decoder() -> Any:
    """decode.js, loaded once."""
    from webllm_py.fetch.browser import load_script

    return load_script("images/decode.js")


def decoded_by_pillow(data: bytes, digest: bytes, param: str) -> Image:
    """By Pillow."""
    pillow = optional_module("PIL.Image", "Decoding images", "'webllm-py[vision]'")
    try:
        with pillow.open(io.BytesIO(data)) as opened:
            check_size(opened.width, opened.height, param)
            return from_pillow(opened, digest)
    except ImageError:
        raise
    except Exception as error:  # whatever its decoders run into: OSError, SyntaxError, ValueError
        # What it says of a file that it does not know names a Python object.
        is_unknown = isinstance(error, pillow.UnidentifiedImageError)
        raise not_decoded(param, "no format that it knows" if is_unknown else f"{error}") from error


def from_pillow(picture: Any, digest: bytes) -> Image:
    """What Pillow opened."""
    pillow = optional_module("PIL.Image", "Decoding images", "'webllm-py[vision]'")
    turned = optional_module("PIL.ImageOps", "Decoding images", "'webllm-py[vision]'")
    picture = turned.exif_transpose(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = pillow.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = pillow.alpha_composite(white, picture)
    picture = picture.convert("RGB").convert("RGBA")
    return Image(picture.width, picture.height, picture.tobytes(), digest)


def check_size(width: int, height: int, param: str) -> None:
    """Refuse what has too many pixels, or none."""
    if not (1 <= width <= MOST_ALONG_A_SIDE and 1 <= height <= MOST_ALONG_A_SIDE):
        raise ImageError(
            f"the image has {width:,} by {height:,} pixels, and sides of 1 to "
            f"{MOST_ALONG_A_SIDE:,} are read",
            param=param,
        )
    if width * height > MOST_PIXELS:
        raise ImageError(
            f"the image has {width:,} by {height:,} pixels, and at most {MOST_PIXELS:,} are read; "
            "make it smaller",
            param=param,
        )


def not_decoded(param: str, why: str) -> ImageError:
    """The error of bytes that are no image."""
    reader = "this browser" if sys.platform == "emscripten" else "Pillow"
    return ImageError(
        f"the image cannot be decoded by {reader} ({why}). Send a PNG, JPEG or WebP file",
        param=param,
    )
