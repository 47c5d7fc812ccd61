"""Workgroup shapes for a device: how many threads share a row, how many rows a workgroup does."""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.gpu.device import Device

__all__ = ["Tuning", "tuning_for"]


@dataclass(frozen=True)
class Tuning:
    """Choices that change speed, never results.

    Attributes:
        gemv_lanes: most threads along a row of a GEMV; short rows take fewer.
        gemv_threads: threads of a GEMV's workgroup.
        gemv_quads: quads of rows that share a load of x: 1 or 2.
        attention_threads: threads of a decode-attention workgroup, and keys of its tile.
        splits: most workgroups that share a head's keys.
        reduce_threads: threads of norm and sampling workgroups.
        chunk: most rows of a prefill chunk.
    """

    gemv_lanes: int = 32
    gemv_threads: int = 128
    gemv_quads: int = 1
    attention_threads: int = 64
    splits: int = 32
    reduce_threads: int = 256
    chunk: int = 256

    def gemv(self, units: int) -> dict[str, int]:
        """The GEMV kernel's shape for rows of so many units of 8 columns."""
        lanes = 2
        while lanes < min(units, self.gemv_lanes):
            lanes *= 2
        groups = max(1, self.gemv_threads // lanes)
        return {
            "LANES": lanes,
            "GROUPS": groups,
            "QUADS": self.gemv_quads,
            "THREADS": lanes * groups,
        }


def tuning_for(device: Device) -> Tuning:
    """Defaults by what kind of device it is."""
    if device.info.is_cpu:
        # A CPU runs a workgroup's threads in turn: barriers cost, sharing a row gains nothing.
        return Tuning(
            gemv_lanes=max(2, device.variant.subgroups),
            gemv_threads=32,
            gemv_quads=1,
            attention_threads=32,
            splits=4,
            reduce_threads=64,
            chunk=128,
        )
    return Tuning()
