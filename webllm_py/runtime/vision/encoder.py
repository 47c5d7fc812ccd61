"""A loaded vision tower on its device: images to rows of the text model, a tile at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from webllm_py.gpu.device import Buffer, Device, Dispatch, Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.images.prepared import PreparedImage
from webllm_py.models.activations import padded
from webllm_py.models.encoder_layers import tile_words
from webllm_py.models.move_rows import MORE_AT, map_bytes, map_words, move_rows
from webllm_py.models.step import Row, StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.vision.graph import VisionBuffers, VisionGraph, patch_columns
from webllm_py.models.vision.tower import VisionModel
from webllm_py.models.weights import Weights
from webllm_py.runtime.vision.preprocessor import ImagePreprocessor

__all__ = ["VisionEncoder"]

TILE_ROWS = 64  # rows of a pass are a multiple of what every GEMM takes
MOST_JOINT = 256


class VisionEncoder:
    """Runs a vision tower. Its buffers are made, and its kernels compiled, for the first image."""

    def __init__(
        self,
        device: Device,
        owner: BufferOwner,
        model: VisionModel,
        weights: Weights,
        tuning: Tuning,
    ):
        self.device, self.owner, self.model, self.weights = device, owner, model, weights
        self.tuning = tuning
        self.config = model.config
        self.rows = whole(self.config.length)
        self.joint_rows = whole(min(MOST_JOINT, model.tiles * self.config.merged))
        self._buffers: VisionBuffers | None = None
        self._plans: list[Plan] = []
        self._placing: Plan | None = None

    async def prepare(self) -> VisionBuffers:
        """Make room, compile the kernels and record the plans.

        Raises:
            GPUOutOfMemoryError: there is no room.
        """
        if self._buffers:
            return self._buffers
        made: dict[str, Buffer] = {}
        try:
            for name, size in self.sizes().items():
                made[name] = self.owner.create(f"vision {name}", size)
            await self.device.check()
            buffers = VisionBuffers(**made)
            tower, joint = self.graph(self.rows, buffers), self.graph(self.joint_rows, buffers)
            self.model.see(tower)
            self.model.project(joint)
            for graph in (tower, joint):
                self._plans.append(await self.device.record("vision", graph.dispatches))
        except BaseException:
            self.drop_plans()
            self.owner.free(*made.values())
            raise
        self._buffers = buffers
        config = self.config
        rows = [Row(i, i) for i in range(config.length)]
        self.device.write(buffers.rows, 0, StepLayout(self.rows, 0).words(rows))
        self.device.write(buffers.tiles, 0, tile_words([(0, config.length)]))
        return buffers

    def sizes(self) -> dict[str, int]:
        """Bytes of the buffers, by their names."""
        c, rows, joint = self.config, self.rows, self.joint_rows
        hidden, joined = padded(c.hidden_size), padded(c.joined)
        widened = padded(c.text_hidden) if len(self.model.projections) > 1 else 0
        if self.model.norm:
            widened = max(widened, joined)
        inner = max(3 * c.hidden_size, padded(c.intermediate_size), padded(patch_columns(c)))
        return {
            "rows": StepLayout(rows, 0).nbytes,
            "tiles": len(tile_words([(0, c.length)])),
            "hidden": 4 * rows * hidden,
            "summed": 4 * rows * hidden,
            "inner": 4 * rows * inner,
            "features": 4 * self.model.tiles * c.patches * hidden,
            "joined": 4 * joint * joined,
            "widened": max(16, 4 * joint * widened),
            "projected": 4 * joint * padded(c.text_hidden),
            "corner": 24,
            "kept": map_bytes(c.patches),
            "joints": map_bytes(joint, c.merge**2),
            "placed": map_bytes(joint),
        }

    def graph(self, rows: int, buffers: VisionBuffers) -> VisionGraph:
        """An empty pass."""
        return VisionGraph(
            rows,
            config=self.config,
            weights=self.weights,
            buffers=buffers,
            device=self.device,
            tuning=self.tuning,
        )

    async def encode(
        self, prepared: PreparedImage, table: Buffer, first: int
    ) -> AsyncGenerator[None, None]:
        """Put an image's rows into a table, from a row on; yields between its tiles.

        Raises:
            DeviceLimitError, GPUOutOfMemoryError: the image is too large for the device.
        """
        buffers = await self.prepare()
        place = await self.placing(buffers, table)
        layout, model, patches = prepared.layout, self.model, self.config.patches
        joints = model.joints(layout)
        preprocessor = ImagePreprocessor(self.device, self.config, buffers)
        try:
            await preprocessor.make(prepared)
            done = 0
            for number, tile in enumerate(layout.tiles):
                preprocessor.patches(tile)
                slot = number % model.tiles
                kept = [(self.config.first_patch + i, slot * patches + i) for i in range(patches)]
                self.device.write(buffers.kept, 0, map_words(kept))
                self.device.replay(self._plans[0])
                if slot == model.tiles - 1 or number == len(layout.tiles) - 1:
                    before = (number - slot) * patches
                    end = len(joints) if model.tiles > 1 else (number + 1) * self.config.merged
                    while done < end:
                        part = joints[done : min(end, done + self.joint_rows)]
                        self.join(part, before, first + done, buffers, place)
                        done += len(part)
                yield
                await self.device.idle()
        finally:
            preprocessor.close()

    def join(
        self,
        joints: Sequence[Sequence[int]],
        before: int,
        first: int,
        buffers: VisionBuffers,
        place: Plan,
    ) -> None:
        """Features to rows of the table, from ``first`` on."""
        squares = [
            (*(n - before if n < MORE_AT else n for n in joint), row)
            for row, joint in enumerate(joints)
        ]
        self.device.write(buffers.joints, 0, map_words(squares))
        self.device.replay(self._plans[1])
        rows = [(row, first + row) for row in range(len(joints))]
        self.device.write(buffers.placed, 0, map_words(rows))
        self.device.replay(place)

    async def placing(self, buffers: VisionBuffers, table: Buffer) -> Plan:
        """What puts projected rows into the table."""
        if self._placing:
            return self._placing
        width = padded(self.config.text_hidden)
        bound = (buffers.projected, buffers.tiles, buffers.placed, table)
        moved: Dispatch = move_rows(
            bound, self.joint_rows, columns=width, strides=(width, width), label="place an image"
        )
        self._placing = await self.device.record("place an image", [moved])
        return self._placing

    def drop_plans(self) -> None:
        """Forget what was recorded."""
        if self._placing:
            self._plans.append(self._placing)
            self._placing = None
        while self._plans:
            self.device.drop(self._plans.pop())


def whole(rows: int) -> int:
    """Rows that a GEMM takes."""
    return -(-rows // TILE_ROWS) * TILE_ROWS
