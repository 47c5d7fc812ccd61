"""Where a request's images come from: data URLs, addresses, and Python's own objects."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from webllm_py.errors import ImageError, SourceError
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.resolver import open_url
from webllm_py.images.image import Image, check_size, decode, from_pillow

__all__ = ["image_parts", "load_images"]

MOST_BYTES = 64 << 20
TRIES = 3
"""Of an address: who asks about an image waits for it."""
DATA = re.compile(r"data:image/[\w.+-]+((?:;[\w.+-]+=[^;,]*)*)(;base64)?,(.*)", re.DOTALL | re.I)


def image_parts(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The images of a conversation in normal form (``webllm_py.api.messages``), and where they
    are, as in ``messages[0].content[1]``."""
    for i, message in enumerate(messages):
        if isinstance(message["content"], list):
            for k, part in enumerate(message["content"]):
                if part["type"] == "image":
                    yield f"messages[{i}].content[{k}]", part


async def load_images(parts: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Image]:
    """The decoded images of parts.

    Raises:
        ImageError: one cannot be had or decoded; its ``param`` says which.
        MissingPackageError: natively, where Pillow is not installed.
    """
    return await asyncio.gather(*(load_image(part["image"], param) for param, part in parts))


async def load_image(source: Any, param: str) -> Image:
    """An image of a data URL or an address, of bytes, a path, Pillow's image or numpy's array."""
    if isinstance(source, str):
        return await decode(await bytes_at(source, param), param)
    if isinstance(source, bytes | bytearray | memoryview):
        return await decode(bytes(source), param)
    if isinstance(source, os.PathLike):
        return await decode(await asyncio.to_thread(bytes_of_file, source, param), param)
    if hasattr(source, "__array_interface__") and hasattr(source, "convert"):
        check_size(source.width, source.height, param)
        whole = source.convert("RGBA")
        named = repr(source.size).encode() + whole.tobytes()
        return from_pillow(source, hashlib.sha256(named).digest())
    return from_array(source, param)


def bytes_of_file(path: os.PathLike[str], param: str) -> bytes:
    """A file's bytes."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"the image cannot be read: {error}", param=param) from error


def from_array(source: Any, param: str) -> Image:
    """An array of bytes, (height, width, 3): red, green and blue."""
    try:
        view = memoryview(source)
    except TypeError:
        view = memoryview(b"")
    if view.format != "B" or view.ndim != 3 or view.shape is None or view.shape[2] != 3:
        raise ImageError(
            f"an image may be a URL, bytes of a file, a path, an image of Pillow or an array of "
            f"uint8 of shape (height, width, 3), not {type(source).__name__}",
            param=param,
        )
    height, width, _ = view.shape
    check_size(width, height, param)
    flat = view.tobytes()
    pixels = bytearray(b"\xff") * (4 * width * height)
    for channel in range(3):
        pixels[channel::4] = flat[channel::3]
    digest = hashlib.sha256(repr((width, height)).encode() + flat).digest()
    return Image(width, height, bytes(pixels), digest)


def from_base64(text: bytes) -> bytes:
    """What base64 stands for, as browsers read it in URLs: with line ends, with or without padding
    (https://infra.spec.whatwg.org/#forgiving-base64-decode).

    Raises:
        ValueError: it is no base64.
    """
    text = text.translate(None, b"\t\n\f\r ")
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


async def bytes_at(url: str, param: str) -> bytes:
    """The bytes of a data URL, or of what is at an address."""
    if url[:5].lower() == "data:":
        found = DATA.fullmatch(url)
        if not found:
            raise ImageError("the URL is no data:image/...;base64,... URL", param=param)
        try:
            data = unquote_to_bytes(found[3])
            return from_base64(data) if found[2] else data
        except ValueError as error:
            raise ImageError(f"the data URL is not valid base64: {error}", param=param) from None
    source = open_url(url, FetchOptions(keep=False, tries=TRIES))
    try:
        return await source.read_all(MOST_BYTES)
    except SourceError as error:
        raise ImageError(f"the image cannot be had: {error}", param=param) from error
    finally:
        await source.close()
