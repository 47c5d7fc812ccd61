"""Images as they stand in a prompt: rows that have numbers of their own, beyond all token ids."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from webllm_py.images.image import Image
from webllm_py.images.layout import Layout, Processor

__all__ = ["PreparedImage", "prepare"]


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image, and what is made of it.

    Its rows are numbered by its content: sequences whose numbers agree have seen the same image,
    so that keys and values may be shared by their numbers as they are by tokens.
    """

    image: Image
    layout: Layout

    @cached_property
    def key(self) -> int:
        """Tells it, laid out as it is, from all others: 128 bits of a hash, and not 0."""
        found = hashlib.sha256(self.image.digest + repr(self.layout).encode()).digest()
        return int.from_bytes(found[:16], "little") | 1

    @property
    def pieces(self) -> list[str | list[int]]:
        """What stands for it in a prompt: texts, and numbers of its rows."""
        found: list[str | list[int]] = []
        number = self.key << 32
        for piece in self.layout.prompt:
            if isinstance(piece, str):
                found.append(piece)
            else:
                found.append(list(range(number, number + piece)))
                number += piece
        return found


def prepare(image: Image, processor: Processor, detail: str) -> PreparedImage:
    """An image laid out; ``detail`` is "low", "high" or "auto"."""
    return PreparedImage(image, processor.layout(image.width, image.height, detail))
