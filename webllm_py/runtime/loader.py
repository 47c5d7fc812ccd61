"""Brings a model's tensors to the GPU: in the order of the file, in pieces, repacked by kernels.

A piece goes from its source into one staging buffer and from there, by a kernel, into the layout
that the quantization readers want. In the browser the bytes never enter Python's memory.
"""

from __future__ import annotations

import asyncio
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import CorruptCheckpointError
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.llama import Llama
from webllm_py.models.weights import Matrix, Part, Slice, Vector, Weights
from webllm_py.runtime.progress import ProgressReporter
from webllm_py.runtime.storage import (
    STORAGE,
    Quantize,
    SlicePlan,
    repack_kernel,
    slice_plans,
)

__all__ = ["Loader", "place_weights", "read_floats"]

STAGING_BYTES = 2 << 20
# Queued copies take memory of their own until the GPU is done with them.
QUEUED_BYTES = 64 << 20


@dataclass(frozen=True)
class Piece:
    """Bytes to fetch at once, and what to do with them.

    ``rows`` and ``first_row`` say which of the tensor's rows they are; a vector is one piece.
    """

    tensor: TensorInfo
    offset: int
    nbytes: int
    target: MatrixTarget | VectorTarget
    rows: int = 0
    first_row: int = 0


@dataclass(frozen=True)
class MatrixTarget:
    """A part's place in a slice of a matrix."""

    matrix: Matrix
    plan: SlicePlan
    part: Part
    buffers: Mapping[str, Buffer]


@dataclass(frozen=True)
class VectorTarget:
    """A part's place in a vector's buffer, from element ``at``."""

    vector: Vector
    part: Part
    at: int


def place_weights(
    device: Device,
    owner: BufferOwner,
    model: Llama,
    report: ProgressReporter,
    quantize: Quantize | None = None,
) -> tuple[Weights, Loader]:
    """Make the buffers of a model's matrices and vectors; the loader's ``run`` fills them.

    Raises:
        DeviceLimitError: a buffer is over the device's limits.
        GPUOutOfMemoryError: no memory; where the device tells late, ``Device.check`` raises it.
    """
    loader = Loader(device, owner, report)
    matrices = {m.name: loader.place_matrix(m, quantize) for m in model.matrices()}
    vectors = {v.name: loader.place_vector(v) for v in model.vectors() if v.length}
    named = {name: (vector, loader.vectors[name]) for name, vector in vectors.items()}
    return Weights(matrices, named), loader


class Loader:
    """Collects pieces, then fetches and places them in file order."""

    def __init__(self, device: Device, owner: BufferOwner, report: ProgressReporter):
        self.device = device
        self.owner = owner
        self.report = report
        self.pieces: list[Piece] = []
        self.vectors: dict[str, Buffer] = {}

    def place_matrix(
        self, matrix: Matrix, quantize: Quantize | None
    ) -> tuple[Matrix, tuple[Slice, ...]]:
        """Make a matrix's buffers and note the pieces that fill them."""
        limits = self.device.limits
        limit = min(limits.max_storage_buffer_binding_size, limits.max_buffer_size)
        slices = []
        for plan in slice_plans(matrix, quantize, limit):
            label = f"{matrix.name}[{plan.row0}:{plan.row0 + plan.rows}]"
            sizes = STORAGE[plan.format].sizes(plan.rows, matrix.blocks)
            buffers = {n: self.owner.create(f"{label} {n}", size) for n, size in sizes.items()}
            slices.append(Slice(plan.format, plan.row0, plan.rows, buffers))
            for part in plan.parts:
                self.add_pieces(MatrixTarget(matrix, plan, part, buffers))
        return matrix, tuple(slices)

    def add_pieces(self, target: MatrixTarget) -> None:
        """Cut a part's rows of one slice into pieces that fit the staging buffer."""
        tensor = target.part.tensor
        row_bytes = tensor.format.nbytes(tensor.shape[1])
        most = max(1, STAGING_BYTES // row_bytes)
        first, end = target.plan.source_rows(target.part)
        for row in range(first, end, most):
            rows = min(most, end - row)
            self.pieces.append(
                Piece(tensor, tensor.offset + row * row_bytes, rows * row_bytes, target, rows, row)
            )

    def place_vector(self, vector: Vector) -> Vector:
        """Make a vector's buffer and note the pieces that fill it."""
        self.vectors[vector.name] = self.owner.create(f"{vector.name} vectors", vector.length * 4)
        parts = [VectorTarget(vector, part, vector.bias_at) for part in vector.biases]
        if vector.norm:
            parts.append(VectorTarget(vector, Part(vector.norm), 0))
        for target in parts:
            tensor = target.part.tensor
            self.pieces.append(Piece(tensor, tensor.offset, tensor.nbytes, target))
        return vector

    async def run(self) -> None:
        """Fetch all pieces, each while the one before is on its way to the GPU.

        Raises:
            SourceError: bytes that cannot be had.
            GPUOutOfMemoryError: the weights do not fit.
        """
        self.pieces.sort(key=lambda piece: (piece.tensor.source.name, piece.offset))
        staging_size = max((p.nbytes for p in self.pieces), default=0) + 4
        staging = self.owner.create("staging", staging_size)
        header = self.owner.create("staging header", 8)
        queued = 0
        ahead = asyncio.ensure_future(fetch(self.pieces[0]))
        try:
            for piece, following in zip(self.pieces, [*self.pieces[1:], None], strict=True):
                data = await ahead
                if following:
                    ahead = asyncio.ensure_future(fetch(following))
                await self.place(piece, data, staging, header)
                self.report.advance(piece.nbytes)
                queued += piece.nbytes
                if queued > QUEUED_BYTES:
                    await self.device.idle()
                    queued = 0
            await self.device.idle()
            await self.device.check()
        finally:
            ahead.cancel()
            self.owner.free(staging, header)

    async def place(self, piece: Piece, data: Chunk, staging: Buffer, header: Buffer) -> None:
        """Take one piece's bytes to where they belong."""
        target = piece.target
        if isinstance(target, VectorTarget):
            self.place_vector_part(target, to_floats(piece.tensor, data))
            return
        self.device.write(staging, 0, data)
        self.device.write(header, 0, struct.pack("<2I", piece.rows, piece.first_row))
        buffers = {"staged": staging, "piece": header, **target.buffers}
        blocks = piece.rows * target.matrix.blocks
        repack = repack_kernel(target.matrix, target.plan, target.part)
        plan = await self.device.record(
            f"load {piece.tensor.name}", [Dispatch(repack, buffers, (-(-blocks // 64), 1, 1))]
        )
        self.device.replay(plan)
        self.device.drop(plan)

    def place_vector_part(self, target: VectorTarget, values: Sequence[float]) -> None:
        """Write a norm's weight or a bias, reordered as its matrix's rows are."""
        part, vector = target.part, target.vector
        buffer = self.vectors[vector.name]
        if part.rotary_dim > 2:
            values = adjacent_pairs(values, part.head_dim, part.rotary_dim)
        if part.stride == 1:
            self.device.write(buffer, 4 * (target.at + part.base), array("f", values).tobytes())
            return
        for i, value in enumerate(values):
            at = target.at + part.base + i * part.stride
            self.device.write(buffer, 4 * at, struct.pack("<f", value))


async def fetch(piece: Piece) -> Chunk:
    """A piece's bytes: a vector's into Python, a matrix's as a chunk."""
    source = piece.tensor.source
    if isinstance(piece.target, VectorTarget):
        return await source.read(piece.offset, piece.nbytes)
    return await source.read_chunk(piece.offset, piece.nbytes)


async def read_floats(tensor: TensorInfo) -> Sequence[float]:
    """A small tensor's values."""
    return to_floats(tensor, await tensor.source.read(tensor.offset, tensor.nbytes))


def to_floats(tensor: TensorInfo, data: bytes) -> Sequence[float]:
    """The values of a float tensor's bytes."""
    match tensor.format.name:
        case "F32":
            values = array("f")
            values.frombytes(data)
            return values
        case "F16":
            return struct.unpack(f"<{len(data) // 2}e", data)
        case "BF16":
            widened = bytearray(2 * len(data))
            widened[2::4], widened[3::4] = data[0::2], data[1::2]
            values = array("f")
            values.frombytes(bytes(widened))
            return values
    raise CorruptCheckpointError(
        f"{tensor.name} is stored as {tensor.format.name}; norms and biases must be float tensors"
    )


def adjacent_pairs(values: Sequence[float], head_dim: int, rotary_dim: int) -> list[float]:
    """Each head's first ``rotary_dim`` values from half-split order to adjacent pairs."""
    half = rotary_dim // 2
    order = [i // 2 + half * (i % 2) for i in range(rotary_dim)] + [*range(rotary_dim, head_dim)]
    return [values[start + i] for start in range(0, len(values), head_dim) for i in order]
