"""Brings a model's tensors to the GPU: in the order of the file, in pieces, repacked by kernels.

Neighbouring pieces are fetched together, go from their source into one staging buffer and from
there, by a kernel each, into the layout that the quantization readers want. In the browser the
bytes never enter Python's memory.
"""

from __future__ import annotations

import asyncio
import struct
import time
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from webllm_py.fetch.source import AheadSource, Chunk, base_name, bytes_of, part_of
from webllm_py.gpu.device import Buffer, Device
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.declaration import Declaration
from webllm_py.models.weights import Matrix, Part, Slice, Vector, Weights
from webllm_py.runtime.weights.batches import Batches
from webllm_py.runtime.weights.floats import adjacent_pairs, to_floats
from webllm_py.runtime.weights.pieces import (
    MatrixTarget,
    Piece,
    Staging,
    VectorTarget,
    fetch,
    most_staged,
)
from webllm_py.runtime.weights.progress import ProgressReporter
from webllm_py.runtime.weights.repacks import Repack, repacks
from webllm_py.runtime.weights.storage import (
    STORAGE,
    Quantize,
    SlicePlan,
    check_patterns,
    slice_plans,
)

__all__ = ["Loader", "place_weights"]

PIECE_BYTES = 2 << 20
# Queued copies take memory of their own until the GPU is done with them.
QUEUED_BYTES = 64 << 20


def place_weights(
    device: Device,
    owner: BufferOwner,
    model: Declaration,
    report: ProgressReporter,
    quantize: Quantize | None = None,
    loader: Loader | None = None,
) -> tuple[Weights, Loader]:
    """Create the buffers of a model's matrices and vectors; the loader's ``run`` fills them.

    Args:
        loader: a loader to add them to, which has those of another part of the model; None for a
            new one.

    Raises:
        ValueError: ``quantize`` names tensors that are not there, or gives different formats to
            tensors of one matrix.
        UnsupportedModelError: the file has tensors of one matrix in different formats.
        DeviceLimitError: a buffer is over the device's limits.
        GPUOutOfMemoryError: no memory; where the device tells late, ``Device.check`` raises it.
    """
    loader = loader or Loader(device, owner, report)
    check_patterns(model.matrices(), quantize)
    matrices = {m.name: loader.place_matrix(m, quantize) for m in model.matrices()}
    vectors = {v.name: loader.place_vector(v) for v in model.vectors() if v.length}
    named = {name: (vector, loader.vectors[name]) for name, vector in vectors.items()}
    return Weights(matrices, named), loader


class Loader:
    """Collects pieces, then fetches and places them in file order.

    Attributes:
        waited: seconds that ``run`` waited for bytes.
    """

    def __init__(self, device: Device, owner: BufferOwner, report: ProgressReporter):
        self.device = device
        self.owner = owner
        self.report = report
        self.pieces: list[Piece] = []
        self.vectors: dict[str, Buffer] = {}
        self.waited = 0.0
        self.batches: Batches | None = None

    def place_matrix(
        self, matrix: Matrix, quantize: Quantize | None
    ) -> tuple[Matrix, tuple[Slice, ...]]:
        """Create a matrix's buffers, and note the pieces that fill them."""
        slices = []
        for plan in slice_plans(matrix, quantize, self.device.limits.most_bound):
            label = f"{matrix.name}[{plan.row0}:{plan.row0 + plan.rows}]"
            sizes = STORAGE[plan.format].sizes(plan.rows, matrix.units * 8)
            buffers = {n: self.owner.create(f"{label} {n}", size) for n, size in sizes.items()}
            slices.append(Slice(plan.format, plan.row0, plan.rows, buffers))
            for part in plan.parts:
                for repack in repacks(matrix, plan, part):
                    self.add_pieces(matrix, plan, part, repack, buffers)
        return matrix, tuple(slices)

    def add_pieces(
        self,
        matrix: Matrix,
        plan: SlicePlan,
        part: Part,
        repack: Repack,
        buffers: Mapping[str, Buffer],
    ) -> None:
        """Cut a tensor's rows of one slice into pieces."""
        tensor = repack.tensor
        bound = {name: buffers[name] for name in repack.buffers}
        first, end = plan.source_rows(part)
        if repack.groups:
            target = MatrixTarget(bound, repack.kernel, end - first)
            self.pieces.append(Piece(tensor, tensor.offset, tensor.nbytes, target, repack.groups))
            return
        groups = tensor.format.blocks(tensor.shape[1])
        if tensor.format.by_columns:
            target = MatrixTarget(bound, repack.kernel, end - first)
            row_bytes = tensor.shape[0] // tensor.format.block_rows * tensor.format.block_bytes
            part, first, end = Part(tensor), 0, groups
        else:
            target = MatrixTarget(bound, repack.kernel, matrix.blocks)
            row_bytes = groups * tensor.format.block_bytes
        most = max(1, PIECE_BYTES // row_bytes)
        row = first
        while row < end:
            rows = min(most, end - row, part.run - row % part.run if part.run else end)
            offset = tensor.offset + part.source(row) * row_bytes
            self.pieces.append(Piece(tensor, offset, rows * row_bytes, target, rows, row))
            row += rows

    def place_vector(self, vector: Vector) -> Vector:
        """Create a vector's buffer, and note the pieces that fill it."""
        self.vectors[vector.name] = self.owner.create(f"{vector.name} vectors", vector.length * 4)
        parts = [VectorTarget(vector, part, vector.bias_at) for part in vector.biases]
        for i, part in enumerate(vector.norm):
            parts.append(VectorTarget(vector, part, i * vector.columns_padded))
        for target in parts:
            tensor, part = target.part.tensor, target.part
            offset = tensor.offset + tensor.format.nbytes(part.first)
            length = part.source(part.rows - 1) + 1 - part.first
            self.pieces.append(Piece(tensor, offset, tensor.format.nbytes(length), target))
        return vector

    @property
    def nbytes(self) -> int:
        """Bytes that ``run`` takes to the GPU: what two matrices need counts twice."""
        return sum(piece.nbytes for piece in self.pieces)

    async def compile(self) -> None:
        """Compile the kernels that ``run`` needs."""
        targets = (piece.target for piece in self.pieces)
        await self.device.compile(t.kernel for t in targets if isinstance(t, MatrixTarget))

    def begin(self) -> Batches:
        """Have the first bytes come, from sources that read ahead; all pieces are there now."""
        if self.batches is None:
            self.pieces.sort(key=lambda piece: (piece.tensor.source.name, piece.offset))
            self.batches = Batches(self.pieces, most_staged(self.device))
            self.batches.begin()
        return self.batches

    async def run(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        """Fetch all pieces, each batch while the one before is on its way to the GPU.

        Args:
            meanwhile: awaited once, when the first bytes are on their way.

        Raises:
            SourceError: bytes that cannot be had.
            GPUOutOfMemoryError: the weights do not fit.
        """
        batches, self.batches = self.begin(), None
        staging = Staging(self.device, self.owner, self.pieces)
        batch = batches.next()
        fetching = asyncio.ensure_future(fetch(batch))
        draining: asyncio.Future[Any] | None = None
        queued = 0
        try:
            await asyncio.sleep(0)
            if meanwhile:
                await meanwhile()
            while batch:
                begun = time.perf_counter()
                data = await fetching
                waited = time.perf_counter() - begun
                self.waited += waited
                batches.waited(waited)
                following = batches.next()
                if following:
                    fetching = asyncio.ensure_future(fetch(following))
                await self.place(batch, data, staging)
                release(batch, data)
                nbytes = sum(piece.nbytes for piece in batch)
                self.report.advance(nbytes, base_name(batch[0].tensor.source.name))
                queued += nbytes
                if queued > QUEUED_BYTES // 2:  # and as much again on its way
                    if draining:
                        await draining
                    draining = asyncio.ensure_future(self.device.idle())
                    queued = 0
                batch = following
            await self.device.idle()
            await self.device.check()
        finally:
            under_way = [task for task in (fetching, draining) if task]
            for task in under_way:
                task.cancel()
            staging.free()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def place(self, batch: Sequence[Piece], data: Chunk, staging: Staging) -> None:
        """Take a batch's bytes to where they belong."""
        dispatches = []
        for piece in batch:
            start = piece.offset - batch[0].offset
            part = part_of(data, start, start + piece.nbytes)
            if isinstance(piece.target, VectorTarget):
                self.place_vector_part(piece.target, part)
            else:
                dispatches.append(staging.dispatch(piece, piece.target, part))
        staging.clear()
        if dispatches:
            plan = await self.device.record(f"load {batch[0].tensor.name}", dispatches)
            self.device.replay(plan)
            self.device.drop(plan)

    def place_vector_part(self, target: VectorTarget, data: Chunk) -> None:
        """Write a norm's weight or a bias, reordered as its matrix's rows are."""
        part, vector = target.part, target.vector
        buffer = self.vectors[vector.name]
        as_they_are = part.rotary_dim <= 2 and part.stride == 1 and not part.plus and not part.run
        if part.tensor.format.name == "F32" and as_they_are:
            self.device.write(buffer, 4 * (target.at + part.base), data)
            return
        values = to_floats(part.tensor, bytes_of(data))
        if part.run:
            values = [values[part.source(row) - part.first] for row in range(part.rows)]
        if part.plus:
            values = [value + part.plus for value in values]
        if part.rotary_dim > 2:
            values = adjacent_pairs(values, part.head_dim, part.rotary_dim)
        if part.stride == 1:
            self.device.write(buffer, 4 * (target.at + part.base), array("f", values).tobytes())
            return
        for i, value in enumerate(values):
            at = target.at + part.base + i * part.stride
            self.device.write(buffer, 4 * at, struct.pack("<f", value))


def release(batch: Sequence[Piece], data: Chunk) -> None:
    """A batch's bytes are on the GPU."""
    source = batch[0].tensor.source
    if isinstance(source, AheadSource):
        source.release(data)
