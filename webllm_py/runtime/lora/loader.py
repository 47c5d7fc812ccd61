"""Brings adapters' matrices to the GPU, and those that are there to another buffer."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.fetch.source import part_of
from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.lora import RowOrder
from webllm_py.runtime.lora.layout import Layout, Placed
from webllm_py.runtime.weights.pieces import fetch, first_batch

__all__ = ["LoraLoader"]

MOST_BYTES = 8 << 20
HEADER_WORDS = 10
ACROSS = 1 << 15  # workgroups along x


@dataclass(frozen=True)
class Placement:
    """Elements of a buffer, out of rows of another one: the words of kernels/lora_place.wgsl, less
    where the source begins."""

    target: Buffer
    width: int
    rows: int
    filled_rows: int
    filled_columns: int
    row_stride: int
    column_stride: int
    at: int
    factor: float = 1.0
    order: RowOrder | None = None


@dataclass(frozen=True)
class Half:
    """A matrix of a file, and where it goes."""

    tensor: TensorInfo
    placement: Placement

    @property
    def offset(self) -> int:
        """Where it begins in its source."""
        return self.tensor.offset

    @property
    def nbytes(self) -> int:
        """Its bytes."""
        return self.tensor.nbytes


class LoraLoader:
    """Collects what goes where; ``run`` takes it there."""

    def __init__(self, device: Device):
        self.device, self.owner = device, BufferOwner(device)
        self._halves: list[Half] = []
        self._moves: list[tuple[Buffer, int, Placement]] = []
        self._orders: dict[RowOrder, int] = {}
        self._order_words = array("I", (0,))  # no buffer is empty

    def place(self, layout: Layout, old: Buffer | None, new: Buffer) -> list[Placed]:
        """Note what a matrix's new buffer gets, from files or from its old one; where it then
        lies."""
        found = []
        for placed, (a_at, b_at) in zip(layout.placed, layout.places, strict=True):
            sizes = 16 * placed.quads * layout.row_vec4, 16 * placed.quads * placed.row_quads
            if placed.a_at and old:
                for was, at, size in zip(
                    (placed.a_at, placed.b_at), (a_at, b_at), sizes, strict=True
                ):
                    same = Placement(new, size, 1, 1, size, size, 1, 4 * at)
                    self._moves.append((old, 4 * was, same))
            else:
                self._read(layout, placed, new, a_at, b_at)
            found.append(replace(placed, a_at=a_at, b_at=b_at))
        return found

    def _read(self, layout: Layout, placed: Placed, new: Buffer, a_at: int, b_at: int) -> None:
        pair, order, ranks = placed.segment.pair, placed.segment.order, 4 * placed.quads
        columns = pair.a.shape[1]
        a = Placement(new, 4 * layout.row_vec4, ranks, pair.rank, columns, columns, 1, 4 * a_at)
        b = Placement(
            new,
            4 * placed.row_quads,
            ranks,
            pair.rank,
            order.count,
            1,
            pair.rank,
            4 * b_at,
            pair.factor,
            order,
        )
        self._halves += [Half(pair.a, a), Half(pair.b, b)]

    async def run(self) -> None:
        """Move and read everything.

        Raises:
            SourceError: bytes that cannot be had.
            GPUOutOfMemoryError: no memory to stage them in.
        """
        orders = self._order_buffer()
        await self._place([self._dispatch(*move, orders) for move in self._moves])
        halves = sorted(self._halves, key=lambda half: (half.tensor.source.name, half.offset))
        if not halves:
            return
        largest = max(half.nbytes for half in halves)
        # Each begins at a whole word.
        staging = self.owner.create("staged adapters", max(largest, MOST_BYTES) + 4 * len(halves))
        done = 0
        while batch := first_batch(halves, done, MOST_BYTES):
            data, used, dispatches = await fetch(batch), 0, []
            for half in batch:
                start = half.offset - batch[0].offset
                self.device.write(staging, used, part_of(data, start, start + half.nbytes))
                name = half.tensor.format.name.lower()
                made = self._dispatch(staging, used // 4, half.placement, orders, name)
                dispatches.append(made)
                used += -(-half.nbytes // 4) * 4
            await self._place(dispatches)
            done += len(batch)
        await self.device.idle()
        await self.device.check()

    def _order_buffer(self) -> Buffer:
        for half in self._halves:
            order = half.placement.order
            if order and order not in self._orders:
                indices = order.indices()
                plain = indices == [*range(len(indices))]
                self._orders[order] = 0 if plain else len(self._order_words) + 1
                self._order_words.extend([] if plain else indices)
        orders = self.owner.create("orders of rows", 4 * len(self._order_words))
        self.device.write(orders, 0, self._order_words.tobytes())
        return orders

    def _dispatch(
        self, staged: Buffer, start: int, to: Placement, orders: Buffer, name: str = "f32"
    ) -> Dispatch:
        header = self.owner.create("placement", 4 * HEADER_WORDS)
        words = (start, to.width, to.rows, to.filled_rows, to.filled_columns)
        more = (to.row_stride, to.column_stride, to.at)
        order = self._orders[to.order] if to.order else 0
        self.device.write(header, 0, struct.pack("<8IfI", *words, *more, to.factor, order))
        groups = -(-to.width * to.rows // 64)
        across = min(groups, ACROSS)
        bound = {"staged": staged, "piece": header, "order": orders, "lora": to.target}
        place = kernel("lora_place", snippets={"source": f"repack/source_{name}"})
        return Dispatch(place, bound, (across, -(-groups // across), 1))

    async def _place(self, dispatches: Sequence[Dispatch]) -> None:
        if not dispatches:
            return
        plan = await self.device.record("place adapters", dispatches)
        self.device.replay(plan)
        self.device.drop(plan)

    def free(self) -> None:
        """Give the memory back that only loading needed."""
        self.owner.free_all()
