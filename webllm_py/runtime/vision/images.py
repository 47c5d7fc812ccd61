"""Rows of the images that prompts hold: made when a prompt comes to them, put where they stand.

A table on the GPU keeps the rows of images as long as their requests last, and longer while there
is room.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webllm_py.errors import StateError
from webllm_py.gpu.device import Buffer
from webllm_py.images.prepared import PreparedImage
from webllm_py.models.activations import padded
from webllm_py.models.image_rows import image_key, image_row, is_image_row
from webllm_py.models.move_rows import map_bytes, map_words
from webllm_py.runtime.vision.encoder import VisionEncoder
from webllm_py.runtime.weights.loader import Loader, place_weights

if TYPE_CHECKING:
    from webllm_py.models.vision import VisionModel
    from webllm_py.runtime.executor import Executor

__all__ = ["ImageRows", "add_images"]


def add_images(executor: Executor, model: VisionModel, loader: Loader) -> None:
    """Room for the weights of what sees, which the loader fills, and what runs it."""
    device, owner = executor.device, executor.owner
    weights, _ = place_weights(device, owner, model, loader.report, loader=loader)
    encoder = VisionEncoder(device, owner, model, weights, executor.tuning)
    executor.images = ImageRows(executor, encoder)


@dataclass
class Held:
    """An image that requests need, and how many do."""

    prepared: PreparedImage
    requests: int = 0


class ImageRows:
    """The table, and what fills it.

    Attributes:
        map: which rows of the table go where in a chunk: kernels/move_rows.wgsl.
        table: float32 (rows, hidden), padded as rows are.
    """

    def __init__(self, executor: Executor, encoder: VisionEncoder):
        self.executor, self.encoder = executor, encoder
        self.device, self.owner = executor.device, executor.owner
        self.width = padded(executor.model.config.hidden_size)
        self.map = self.owner.create("image map", map_bytes(executor.chunk))
        self.table: Buffer = self.owner.create("image rows", 16)
        self.capacity = 0
        self._held: dict[int, Held] = {}
        self._places: dict[int, range] = {}  # the least recently needed first

    @contextmanager
    def holding(self, images: Sequence[PreparedImage]) -> Iterator[None]:
        """Hold images while this lasts, so that their rows can be made."""
        for image in images:
            self._held.setdefault(image.key, Held(image)).requests += 1
        try:
            yield
        finally:
            for image in images:
                held = self._held[image.key]
                held.requests -= 1
                if not held.requests:
                    del self._held[image.key]

    async def make(self, tokens: Sequence[int]) -> AsyncGenerator[None, None]:
        """See that the rows that are among these tokens are in the table; yields between tiles.

        Raises:
            StateError: a row's image is not there any more.
            DeviceLimitError, GPUOutOfMemoryError: no room for them.
        """
        needed = dict.fromkeys(image_key(token) for token in tokens if is_image_row(token))
        for key in needed:
            if key in self._places:
                self._places[key] = self._places.pop(key)  # the most recently needed
        for key in needed:
            if key in self._places:
                continue
            if key not in self._held:
                raise StateError("an image of this conversation is not there any more; send it")
            prepared = self._held[key].prepared
            place = await self._room(prepared.layout.rows, needed)
            async with aclosing(self.encoder.encode(prepared, self.table, place.start)) as tiles:
                async for _ in tiles:
                    yield
            self._places[key] = place

    def put(self, tokens: Sequence[int]) -> None:
        """Say which rows of the table are a chunk's."""
        rows = [
            (self._places[image_key(token)][image_row(token)], row)
            for row, token in enumerate(tokens)
            if is_image_row(token)
        ]
        self.device.write(self.map, 0, map_words(rows))

    async def _room(self, rows: int, needed: dict[int, None]) -> range:
        """A place for ``rows`` rows; images that no request holds make room, then the table
        grows."""
        while (found := self._gap(rows)) is None:
            idle = [k for k in self._places if k not in needed and k not in self._held]
            if idle:
                del self._places[idle[0]]
            else:
                await self._grow(rows)
        return found

    def _gap(self, rows: int) -> range | None:
        end = 0
        for place in sorted(self._places.values(), key=lambda place: place.start):
            if place.start - end >= rows:
                return range(end, end + rows)
            end = place.stop
        return range(end, end + rows) if end + rows <= self.capacity else None

    async def _grow(self, rows: int) -> None:
        capacity = max((place.stop for place in self._places.values()), default=0) + rows
        kept = self.table.size if self.capacity else 0
        await self.owner.enlarge([self.table], 4 * self.width * capacity, kept)
        self.capacity = capacity
