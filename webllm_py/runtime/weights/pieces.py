"""Pieces of a file on their way to the GPU: which are fetched together, and where they lie then."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import Kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.weights import Part, Vector

__all__ = [
    "HEADERS_BYTES",
    "MatrixTarget",
    "Piece",
    "Staging",
    "VectorTarget",
    "extent",
    "fetch",
    "first_batch",
    "most_staged",
    "staging_bytes",
]

MOST_BYTES = 8 << 20  # fetched at once
MOST_PIECES = 64
MOST_APART = 4096  # bytes between pieces that are fetched and not used


class Stretch(Protocol):
    """Bytes of a tensor's file."""

    @property
    def tensor(self) -> TensorInfo:
        """Whose."""

    @property
    def offset(self) -> int:
        """Where they begin in its source."""

    @property
    def nbytes(self) -> int:
        """How many."""


S = TypeVar("S", bound=Stretch)


@dataclass(frozen=True)
class Piece:
    """Bytes that one kernel places, and what to do with them.

    ``rows`` and ``first_row`` say which of the part's rows they are, or which groups of all rows
    where the tensor is not stored by rows; a vector's part is one piece.
    """

    tensor: TensorInfo
    offset: int
    nbytes: int
    target: MatrixTarget | VectorTarget
    rows: int = 0
    first_row: int = 0


@dataclass(frozen=True)
class MatrixTarget:
    """A slice of a matrix, and the kernel that brings a tensor's rows there.

    ``blocks`` of 32 columns are what the kernel places for each of a piece's rows.
    """

    buffers: Mapping[str, Buffer]
    kernel: Kernel
    blocks: int


@dataclass(frozen=True)
class VectorTarget:
    """A part's place in a vector's buffer, from element ``at``."""

    vector: Vector
    part: Part
    at: int


PADDING = 4 * MOST_PIECES
HEADERS_BYTES = 16 * MOST_PIECES


def most_staged(device: Device) -> int:
    """Bytes of several pieces that are staged at once."""
    return min(MOST_BYTES, device.limits.max_storage_buffer_binding_size - PADDING)


def staging_bytes(device: Device, pieces: Sequence[Piece]) -> int:
    """Bytes of the buffer that pieces go through."""
    largest = max((piece.nbytes for piece in pieces), default=0)
    total = sum(piece.nbytes + 4 for piece in pieces)
    return min(total, max(most_staged(device) + PADDING, largest + 4))


class Staging:
    """Where a batch's bytes lie until kernels have placed them.

    Attributes:
        headers: for each piece its rows, its first row, and the word of the buffer that it begins
            at; see kernels/repack.wgsl.
        most: bytes of several pieces that are there at once.
    """

    def __init__(self, device: Device, owner: BufferOwner, pieces: Sequence[Piece]):
        self.device, self.owner = device, owner
        self.most = most_staged(device)
        self.buffer = owner.create("staging", staging_bytes(device, pieces))
        self.headers: list[Buffer] = []
        self.clear()

    def clear(self) -> None:
        """The next batch may overwrite this one, whose kernels are queued before."""
        self.used = self.used_headers = 0

    def dispatch(self, piece: Piece, target: MatrixTarget, data: Chunk) -> Dispatch:
        """Stage a piece; what places it."""
        if self.used_headers == len(self.headers):
            self.headers.append(self.owner.create("staging header", 12))
        header = self.headers[self.used_headers]
        self.device.write(self.buffer, self.used, data)
        words = struct.pack("<3I", piece.rows, piece.first_row, self.used // 4)
        self.device.write(header, 0, words)
        self.used_headers += 1
        self.used += -(-piece.nbytes // 4) * 4
        buffers = {"staged": self.buffer, "piece": header, **target.buffers}
        return Dispatch(target.kernel, buffers, (-(-piece.rows * target.blocks // 64), 1, 1))

    def free(self) -> None:
        """Give the memory back."""
        self.owner.free(self.buffer, *self.headers)


def first_batch(pieces: Sequence[S], start: int, most: int) -> Sequence[S]:
    """The pieces from ``start`` on that lie next to each other and have ``most`` bytes together;
    one that is larger is a batch of its own."""
    if start == len(pieces):
        return ()
    first = last = pieces[start]
    for end in range(start + 1, min(start + MOST_PIECES, len(pieces))):
        piece = pieces[end]
        apart = piece.offset - (last.offset + last.nbytes)
        if (
            piece.tensor.source is not first.tensor.source
            or apart >= MOST_APART
            or piece.offset + piece.nbytes > first.offset + most
        ):
            return pieces[start:end]
        last = piece
    return pieces[start : start + MOST_PIECES]


async def fetch(batch: Sequence[Stretch]) -> Chunk:
    """A batch's bytes, and those between its pieces."""
    first = batch[0]
    return await first.tensor.source.read_chunk(first.offset, extent(batch))


def extent(batch: Sequence[Stretch]) -> int:
    """A batch's bytes, and those between its pieces."""
    return max(piece.offset + piece.nbytes for piece in batch) - batch[0].offset
