"""Choices for a device that change speed: shapes of workgroups, and which kernels do what."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from webllm_py.gpu.device import Device
from webllm_py.models.step import SLOTS
from webllm_py.models.workgroup_shapes import (
    AttentionShape,
    GemvShape,
    RowsShape,
    format_of,
    rounds,
)

__all__ = ["Tuning", "tuning_for"]

ROUNDED = 512  # most units of a row in 8 bits that a workgroup keeps at a time
ROWS = RowsShape(lanes=32, threads=64, busy=1 << 15)
ROUNDED_ROWS = RowsShape(lanes=64, threads=128, busy=1 << 17)


@dataclass(frozen=True)
class Tuning:
    """Choices that change speed, and of what is computed only what is rounded to 8 bits.

    Attributes:
        gemv_lanes: most threads along a row of a GEMV; short rows take fewer.
        gemv_threads: threads of a GEMV's workgroup.
        long_units: rows of at least this many units take ``gemv_lanes`` threads, shorter ones half
            of them.
        many_quads, many_lanes: a GEMV of at least ``many_quads`` quads of rows fills the GPU with
            ``many_lanes`` threads along each row.
        few_rows: most rows, at least 1, that are computed by GEMVs, 8 at a time, and by split
            attention; more take GEMMs and tiled attention.
        dot4_rows, matrices_rows: upper bounds of ``few_rows`` where GEMMs are of these kinds.
        rows_shape, rounded_rows_shape: of GEMVs of a few rows, as floats and in 8 bits. Of 64 and
            128 threads at most: workgroup memory holds their sums of 8 rows.
        tiled: whether GEMMs go through workgroup memory.
        many_tiles: a GEMM of at least this many tiles hides its loads behind other tiles' work;
            with fewer, tiles are smaller and prefetch.
        expert_rows: from this many rows an expert, on average, rows are sorted by expert and
            multiplied with its weights together.
        delta_rows: from this many rows of a chunk, more than ``SLOTS``, they change a delta net's
            states in blocks.
        quad_lanes: about how many threads share a quad of queries in tiled attention, at least 8.
        attention_threads, splits: see ``AttentionShape``.
        combine_parts: threads, 1 to 4, that share the splits of an element.
        fused_keys, fused_bytes: over at most ``fused_keys`` keys the GEMV after a decode step's
            attention combines the splits itself, unless its workgroups would read more than
            ``fused_bytes`` for that.
        ahead_bytes: in a decode step, the dispatch before a matrix makes the first half of the
            matrix's adapters in parts, which saves a dispatch, unless the workgroups that add the
            parts up would read more than this.
        reduce_threads: threads of norm and sampling workgroups.
        chunk: most rows of a prefill chunk.
        exact_formats: of weights that chunks are not multiplied with in 8 bits, where others are.
        chosen: shapes that were found to be faster on this device, by the name of the problem.
    """

    gemv_lanes: int = 128
    gemv_threads: int = 128
    long_units: int = 512
    many_quads: int = 2048
    many_lanes: int = 32
    few_rows: int = 256
    dot4_rows: int = 64
    matrices_rows: int = 128
    rows_shape: RowsShape = ROWS
    rounded_rows_shape: RowsShape = ROUNDED_ROWS
    tiled: bool = True
    many_tiles: int = 512
    expert_rows: int = 6
    delta_rows: int = 16
    quad_lanes: int = 16
    attention_threads: int = 64
    splits: int = 32
    combine_parts: int = 4
    fused_keys: int = 512
    fused_bytes: int = 32 << 20
    ahead_bytes: int = 40 << 20
    reduce_threads: int = 256
    chunk: int = 1024
    exact_formats: Collection[str] = ()
    chosen: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def gemv(self, rows: int, units: int, problem: str = "") -> GemvShape:
        """The GEMV kernel's shape for ``rows`` rows of ``units`` units, of 8 columns each."""
        if problem in self.chosen:
            return GemvShape(*self.chosen[problem])
        if rows // 4 >= self.many_quads:
            most = self.many_lanes
        else:
            most = self.gemv_lanes // (1 if units >= self.long_units else 2)
        lanes = 2
        while lanes < min(units, most):
            lanes *= 2
        return GemvShape(lanes, max(1, self.gemv_threads // lanes))

    def gemv_rounding(self, rows: int, units: int, *, wide: bool) -> list[GemvShape]:
        """Shapes for the same with the row rounded to 8 bits, which may be faster; likely ones
        first.

        Args:
            wide: a unit takes 12 registers or more until it is decoded; of others 10 at most.
        """
        if rows // 4 >= self.many_quads:
            tried = [(16, 256, 2), (32, 128, 2)]
        elif units >= self.long_units:
            tried = [(64, 256, 1), (128, 256, 1)]
        else:
            tried = [(32, 128, 1), (64, 256, 1)]
        shapes = []
        for lanes, threads, quads in tried:
            unroll = 4 if 4 * lanes < 2 * units else 1
            if wide:
                unroll = min(unroll, 4 // quads)
            step = lanes * unroll
            tile = min(ROUNDED, -(-units // step) * step)
            shapes.append(GemvShape(lanes, threads // lanes, quads, unroll, tile))
        return shapes

    @property
    def exact(self) -> Tuning:
        """It, without what rounds activations to 8 bits."""
        chosen = {name: shape for name, shape in self.chosen.items() if not rounds(name, shape)}
        return replace(self, chosen=chosen)

    @property
    def rounds(self) -> bool:
        """Whether any of the shapes rounds activations."""
        return bool(self.formats_rounding)

    @property
    def formats_rounding(self) -> set[str]:
        """The formats of the weights of those that do."""
        return {format_of(name) for name, shape in self.chosen.items() if rounds(name, shape)}

    def attention(self, rows: int, problem: str = "") -> AttentionShape:
        """The shape of split attention for ``rows`` rows."""
        if rows == 1 and problem in self.chosen:
            return AttentionShape(*self.chosen[problem])
        return AttentionShape(self.attention_threads, self.splits_of(rows))

    def splits_of(self, rows: int) -> int:
        """How many workgroups share the keys of each row; many rows fill a GPU without that."""
        return max(1, self.splits // (1 if rows <= 8 else 4 if rows <= 64 else 16))

    @property
    def partials(self) -> int:
        """Most splits of all rows together."""
        return max(rows * self.splits_of(rows) for rows in range(1, self.few_rows + 1))

    def shares(self, parts: int) -> int:
        """Into how many shares tiled attention cuts a page's keys, ``parts`` threads for each."""
        shares = 1
        while shares < 8 and (shares * parts < 8 or 2 * shares * parts <= self.quad_lanes):
            shares *= 2
        return shares

    def gemm(self, rows: int, columns: int) -> dict[str, int]:
        """The GEMM kernel's tile for a chunk of ``rows`` rows and a matrix of ``columns`` rows."""
        if rows % 64:
            tile_m, tile_n = 32, 64
        elif rows // 64 * -(-columns // 128) >= self.many_tiles:
            tile_m, tile_n = 64, 128
        else:
            tile_m, tile_n = 32, 128
        few = rows // tile_m * -(-columns // tile_n) < self.many_tiles
        return {"TM": tile_m, "TN": tile_n, "PREFETCH": few, "THREADS": tile_m * tile_n // 64}

    def sorts_experts(self, rows: int, top: int, experts: int) -> bool:
        """Whether ``rows`` rows, of ``top`` experts each, are sorted by expert. What may be rows of
        several sequences, or guesses, is computed as single rows are."""
        return rows > SLOTS and rows * top >= self.expert_rows * experts

    def expert_tile(self, pairs: int, experts: int) -> int:
        """Most pairs of a tile of such a GEMM."""
        if not self.tiled:
            return 4
        return 64 if pairs >= 128 * experts else 32

    def expert_gemm(self, tiles: int, tile: int, columns: int) -> dict[str, int]:
        """The tile of the GEMM over sorted rows, for an expert's matrix of ``columns`` rows."""
        few = tiles * -(-columns // 128) < self.many_tiles
        return {"TM": tile, "TN": 128, "PREFETCH": few, "THREADS": 2 * tile}

    def gemm_dot4(self, rows: int, columns: int, most_splits: int = 4) -> dict[str, int]:
        """The tile of the GEMM that takes 8-bit activations."""
        if rows % 64 or rows // 64 * -(-columns // 64) < self.many_tiles // 4:
            tile_m, tile_n, splits = 32, 64, most_splits
        elif rows // 64 * -(-columns // 128) < self.many_tiles:
            tile_m, tile_n, splits = 64, 64, 2
        else:
            tile_m, tile_n, splits = 64, 128, 1
        wide = tile_n == 128
        share = tile_m * tile_n // (64 if wide else 32)
        return {
            "TM": tile_m,
            "TN": tile_n,
            "SPLITS": splits,
            "WIDE": wide,
            "SHARE": share,
            "THREADS": share * splits,
        }

    def gemm_matrices(self, rows: int, columns: int) -> dict[str, int]:
        """The tile of the GEMM of subgroup matrices."""
        wide = rows // 64 * -(-columns // 128) >= self.many_tiles // 2
        tile_n = 128 if wide else 64
        return {"TN": tile_n, "THREADS": tile_n}


def tuning_for(device: Device) -> Tuning:
    """Defaults by what kind of device it is."""
    if device.info.is_cpu:
        # A CPU runs a workgroup's threads in turn: barriers cost, sharing a row gains nothing.
        lanes = max(2, device.variant.subgroups)
        rows_shape = RowsShape(lanes, threads=32, busy=1 << 15)
        return Tuning(
            gemv_lanes=lanes,
            gemv_threads=32,
            long_units=1,
            many_quads=1 << 31,
            few_rows=8,
            rows_shape=rows_shape,
            rounded_rows_shape=rows_shape,
            tiled=False,
            expert_rows=2,
            delta_rows=32,
            quad_lanes=8,
            attention_threads=32,
            splits=4,
            combine_parts=1,
            fused_keys=0,
            ahead_bytes=0,
            reduce_threads=64,
            chunk=128,
        )
    return Tuning()
