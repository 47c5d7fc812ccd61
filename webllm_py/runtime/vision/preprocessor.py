"""An image on the GPU: resized as its layout says, and cut into patches."""

from __future__ import annotations

import struct
from array import array
from itertools import count

from webllm_py.gpu.device import Buffer, Device, Dispatch, Plan
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.images.layout import Resize, Tile
from webllm_py.images.prepared import PreparedImage
from webllm_py.images.resampling import resize_weights
from webllm_py.models.activations import padded
from webllm_py.models.vision.config import VisionConfig
from webllm_py.models.vision.graph import VisionBuffers, patch_columns

__all__ = ["ImagePreprocessor"]


class ImagePreprocessor:
    """One image in the sizes that its layout wants, as long as they are needed.

    Attributes:
        sizes: width and height of each: see ``images.layout.Resize``.
        pixels: each as words of RGBA, row by row.
    """

    def __init__(self, device: Device, config: VisionConfig, buffers: VisionBuffers):
        self.device, self.config, self.buffers = device, config, buffers
        self.owner = BufferOwner(device)
        self.sizes: list[tuple[int, int]] = []
        self.pixels: list[Buffer] = []
        self._plans: dict[tuple[int, bool], Plan] = {}
        self._numbers = count()

    async def make(self, prepared: PreparedImage) -> None:
        """Bring an image to the GPU, and resize it.

        Raises:
            DeviceLimitError, GPUOutOfMemoryError: it is too large for the device.
        """
        image = prepared.image
        self.pixels.append(self.picture(image.width, image.height))
        self.sizes.append((image.width, image.height))
        dispatches: list[Dispatch] = []
        for resize in prepared.layout.resizes:
            dispatches += self.resize(resize)
        await self.device.check()
        self.device.write(self.pixels[0], 0, image.pixels)
        if dispatches:
            plan = await self.device.record("resize", dispatches)
            self.device.replay(plan)
            self.device.drop(plan)
        for number, shrunk in {(tile.image, bool(tile.width)) for tile in prepared.layout.tiles}:
            cut = self.cut(number, shrunk=shrunk)
            self._plans[number, shrunk] = await self.device.record("patches", [cut])

    def picture(self, width: int, height: int) -> Buffer:
        """Room for width x height pixels."""
        return self.owner.create(f"picture {next(self._numbers)}", 4 * width * height)

    def resize(self, resize: Resize) -> list[Dispatch]:
        """The rows, then the columns, or the other way round, as far as they change."""
        size, pixels = self.sizes[resize.source], self.pixels[resize.source]
        left, top, across, down = resize.box or (0, 0, *size)
        passes = [(False, left, across, resize.width), (True, top, down, resize.height)]
        made = []
        for vertical, first, taken, length in passes[::-1] if resize.turned else passes:
            if taken == length == size[vertical]:
                continue
            weights = resize_weights(taken, length, resize.kind, first)
            resized = (size[0], length) if vertical else (length, size[1])
            dispatch, pixels = self.resample(pixels, size, resized, weights, vertical=vertical)
            made.append(dispatch)
            size = resized
        self.pixels.append(pixels)
        self.sizes.append(size)
        return made

    def resample(
        self,
        pixels: Buffer,
        size: tuple[int, int],
        resized: tuple[int, int],
        weights: tuple[int, array[int]],
        *,
        vertical: bool,
    ) -> tuple[Dispatch, Buffer]:
        """A pass along one axis, with weights of ``resize_weights``, and where its pixels go."""
        (width, height), (words, entries) = resized, weights
        data = struct.pack("<4i", size[0], width, height, words) + entries.tobytes()
        written = self.owner.create(f"weights {next(self._numbers)}", len(data))
        self.device.write(written, 0, data)
        target = self.picture(width, height)
        bound = {"source": pixels, "weights": written, "y": target}
        groups = (-(-width // 64), height, 1)
        return Dispatch(kernel("resample", VERTICAL=vertical), bound, groups), target

    def cut(self, number: int, *, shrunk: bool) -> Dispatch:
        """A tile's patches into ``inner``."""
        config = self.config
        columns = padded(patch_columns(config))
        return Dispatch(
            kernel(
                "patches",
                PATCH=config.patch,
                GRID=config.grid,
                UNITS=columns // 8,
                ROW0=config.first_patch,
                MEAN_R=config.mean[0],
                MEAN_G=config.mean[1],
                MEAN_B=config.mean[2],
                DEVIATION_R=config.deviation[0],
                DEVIATION_G=config.deviation[1],
                DEVIATION_B=config.deviation[2],
                CUBIC=shrunk,
            ),
            {
                "pixels": self.pixels[number],
                "tile": self.buffers.corner,
                "y": self.buffers.inner,
            },
            (-(-columns // 64), config.patches, 1),
        )

    def patches(self, tile: Tile) -> None:
        """Cut a tile into patches."""
        size = tile.width or self.config.tile, tile.height or self.config.tile
        words = struct.pack("<6i", *self.sizes[tile.image], tile.left, tile.top, *size)
        self.device.write(self.buffers.corner, 0, words)
        self.device.replay(self._plans[tile.image, bool(tile.width)])

    def close(self) -> None:
        """Free everything."""
        while self._plans:
            self.device.drop(self._plans.popitem()[1])
        self.owner.free_all()
