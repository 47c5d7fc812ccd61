"""Workgroup shapes for a device: how many threads share a row, how many rows a workgroup does."""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.gpu.device import Device

__all__ = ["Tuning", "tuning_for"]


@dataclass(frozen=True)
class Tuning:
    """Choices that change speed, never what is computed.

    Attributes:
        gemv_lanes: most threads along a row of a GEMV; short rows take fewer.
        gemv_threads: threads of a GEMV's workgroup.
        many_quads: a GEMV with so many quads of rows fills the GPU with ``many_lanes`` threads a
            row group, and has its row groups compute two quads each.
        many_lanes: see ``many_quads``.
        tiled: whether GEMMs go through workgroup memory.
        attention_threads: threads of a decode-attention workgroup, and keys of its tile.
        splits: most workgroups that share a head's keys.
        short_context: contexts up to this length are attended to by one workgroup a head group,
            without splits.
        reduce_threads: threads of norm and sampling workgroups.
        chunk: most rows of a prefill chunk.
    """

    gemv_lanes: int = 128
    gemv_threads: int = 128
    many_quads: int = 16384
    many_lanes: int = 32
    tiled: bool = True
    attention_threads: int = 64
    splits: int = 32
    short_context: int = 256
    reduce_threads: int = 256
    chunk: int = 512

    def gemv(self, rows: int, units: int) -> dict[str, int]:
        """The GEMV kernel's shape for so many rows of so many units of 8 columns."""
        many = rows // 4 >= self.many_quads
        most = min(units, self.many_lanes if many else self.gemv_lanes)
        lanes = 2
        while lanes < most:
            lanes *= 2
        groups = max(1, self.gemv_threads // lanes)
        return {"LANES": lanes, "GROUPS": groups, "QUADS": 1 + many, "THREADS": lanes * groups}

    def gemm_tile(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows of x and of the weight in a GEMM's tile, for a chunk and a matrix of these rows."""
        if rows % 64:
            return 16, 128
        if rows % 128 == 0 and rows * columns >= 128 * 128 * 256:
            return 128, 128
        return 64, 64


def tuning_for(device: Device) -> Tuning:
    """Defaults by what kind of device it is."""
    if device.info.is_cpu:
        # A CPU runs a workgroup's threads in turn: barriers cost, sharing a row gains nothing.
        return Tuning(
            gemv_lanes=max(2, device.variant.subgroups),
            gemv_threads=32,
            many_quads=1 << 31,
            tiled=False,
            attention_threads=32,
            splits=4,
            short_context=32,
            reduce_threads=64,
            chunk=128,
        )
    return Tuning()
