"""Shapes of workgroups: how many threads share a row, how many rows a workgroup does."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AttentionShape", "GemvShape", "RowsShape", "format_of", "rounds"]


class AttentionShape(NamedTuple):
    """How workgroups share a head's keys.

    Attributes:
        threads: of a workgroup, and keys of its tile: 32 or 64.
        splits: most workgroups.
    """

    threads: int
    splits: int

    def near(self, most_splits: int) -> list[AttentionShape]:
        """Shapes like this one that may be faster, likely ones first."""
        other = 96 - self.threads
        shapes = [
            AttentionShape(other, self.splits),
            AttentionShape(self.threads, 2 * self.splits),
            AttentionShape(other, 2 * self.splits),
            AttentionShape(self.threads, self.splits // 2),
        ]
        return [shape for shape in shapes if 1 <= shape.splits <= most_splits]


class GemvShape(NamedTuple):
    """How the threads of a GEMV share its rows.

    Attributes:
        lanes: threads along a row, a power of two.
        groups: row groups a workgroup.
        quads: quads of rows a row group, 1 or 2.
        unroll: units of 8 columns that a thread loads at a time: 1, 2 or 4.
        tile: the row is rounded to 8 bits (kernels/gemv_dot4.wgsl), so many units at a time; 0: it
            is not.
    """

    lanes: int
    groups: int
    quads: int = 1
    unroll: int = 1
    tile: int = 0

    @property
    def threads(self) -> int:
        """Threads of a workgroup."""
        return self.lanes * self.groups

    @property
    def nbytes(self) -> int:
        """Of workgroup memory that kernels/gemv_dot4.wgsl takes."""
        return 16 * (self.tile + self.threads) + 4 * self.groups

    @property
    def constants(self) -> dict[str, int]:
        """The override constants of kernels/gemv.wgsl, or gemv_dot4.wgsl."""
        constants = {
            "LANES": self.lanes,
            "GROUPS": self.groups,
            "QUADS": self.quads,
            "UNROLL": self.unroll,
            "THREADS": self.threads,
        }
        return constants | {"TILE": self.tile} if self.tile else constants

    def near(self, units: int, most_threads: int) -> list[GemvShape]:
        """Similar shapes that may be faster for rows of ``units`` units, likely ones first."""
        lanes, threads = self.lanes, self.threads
        tried = [
            (lanes // 2, threads, 1, 1),
            (lanes, threads, 2, 1),
            (lanes, 2 * threads, 1, 1),
            (2 * lanes, threads, 1, 1),
            (lanes // 2, threads, 2, 1),
            (lanes, threads, 1, 4),
            (lanes // 2, threads // 2, 1, 1),
        ]
        shapes = [
            GemvShape(lanes, threads // lanes, quads, unroll)
            for lanes, threads, quads, unroll in tried
            if 1 <= lanes <= threads <= most_threads and lanes * unroll < 2 * units
        ]
        return [shape for shape in shapes if shape != self]


class RowsShape(NamedTuple):
    """How the threads of a GEMV of a few rows share the rows of its weight.

    Attributes:
        lanes: most threads along a row of the weight, a power of two.
        threads: of a workgroup.
        busy: as many threads fill the GPU: a matrix that has them with fewer lanes takes fewer.
    """

    lanes: int
    threads: int
    busy: int

    def constants(self, rows: int, columns: int, units: int) -> dict[str, int]:
        """For ``rows`` rows of x and a matrix of ``columns`` rows of ``units`` units.

        How many lanes share a row, and with it the order of a sum, is the same for any few rows.
        """
        most = min(units, self.lanes, self.threads, self.busy * 4 // columns)
        lanes = min(8, self.lanes)
        while lanes < most:
            lanes *= 2
        return {
            "ROWS": min(rows, 8),
            "LANES": lanes,
            "GROUPS": self.threads // lanes,
            "THREADS": self.threads,
        }


def rounds(problem: str, shape: tuple[int, ...]) -> bool:
    """Whether the shape of a problem, given by name, rounds activations to 8 bits."""
    return problem.startswith("gemv") and GemvShape(*shape).tile > 0


def format_of(problem: str) -> str:
    """The format of a GEMV's weights, out of the name of its problem."""
    return problem.split()[1]
