"""The matrices of a mixture's experts as dispatches: GEMV for each row and each of its experts, or
GEMM for the rows that go to the same expert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.config import ModelConfig
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Matrix, Slice

__all__ = ["ExpertGroups", "ExpertLinear", "answers_bytes", "expert_groups", "most_tiles"]

# Which are counted in workgroup memory.
MOST_SORTED = 1024


@dataclass(frozen=True)
class ExpertGroups:
    """The pairs of a chunk's rows and their experts, sorted by expert and cut into tiles.

    Attributes:
        rows, top: rows of the chunk, and experts that each goes to.
        experts: how many there are.
        tile: most pairs of a tile, all of one expert.
        room: tiles that there is room for; the same for all chunks, as their kernels are then.
    """

    rows: int
    top: int
    experts: int
    tile: int
    room: int

    @property
    def pairs(self) -> int:
        """Rows of what is computed."""
        return self.rows * self.top

    @property
    def tiles(self) -> int:
        """The most that there may be."""
        return most_tiles(self.pairs, self.experts, self.tile)

    @property
    def pairs_at(self) -> int:
        """Where the sorted pairs begin, behind the tiles, in words."""
        return 4 * self.room

    @property
    def nbytes(self) -> int:
        """Bytes that kernels/group_experts.wgsl writes."""
        return 4 * (self.pairs_at + self.pairs)

    def dispatch(self, route: Buffer, step: Buffer, groups: Buffer, threads: int) -> Dispatch:
        """The sorting."""
        made = kernel(
            "group_experts",
            EXPERTS=self.experts,
            TOP=self.top,
            TILE=self.tile,
            TILES=self.room,
            THREADS=threads,
        )
        return Dispatch(made, {"route": route, "step": step, "groups": groups}, (1, 1, 1))


def most_tiles(pairs: int, experts: int, tile: int) -> int:
    """The most tiles of ``pairs`` pairs: the last tile of each expert may hold a single pair."""
    return (pairs + min(pairs, experts) * (tile - 1)) // tile


def expert_groups(
    config: ModelConfig, tuning: Tuning, rows: int, most_rows: int
) -> ExpertGroups | None:
    """How a chunk of ``rows`` rows, of ``most_rows`` at most, is sorted; None where it is too short
    for that to pay, or there are too many experts."""
    experts, top = config.all_experts, config.experts_a_row
    counted = config.n_experts and experts <= MOST_SORTED
    if not counted or not tuning.sorts_experts(rows, top, experts):
        return None
    room = most_tiles(most_rows * top, experts, tuning.expert_tile(0, experts))
    return ExpertGroups(rows, top, experts, tuning.expert_tile(rows * top, experts), room)


@dataclass(frozen=True)
class ExpertLinear:
    """A slice of the experts' matrices, to be multiplied with rows.

    Attributes:
        buffers: every binding's but that of what says where rows go.
        snippets: the kernels', without what ends them.
        stride: elements of a row of the result.
    """

    matrix: Matrix
    part: Slice
    buffers: Mapping[str, Buffer]
    snippets: Mapping[str, str]
    constants: Mapping[str, float]
    tuning: Tuning
    stride: int

    def gemv(self, rows: int, top: int, route: Buffer, *, together: bool) -> Dispatch:
        """Each of so many rows, with each of its experts; ``together``: the rows are these pairs,
        whose weighted sum is wanted."""
        height = self.matrix.together
        shape = self.tuning.gemv(height * top, self.matrix.units)
        lanes = {"LANES": shape.lanes, "GROUPS": shape.groups, "THREADS": shape.threads}
        groups = (-(-height // (4 * shape.groups)), 1 if together else top, rows)
        sizes = {"TOP": top, "SUM": together, **lanes}
        return self.made("expert_gemv", "linear/finish", groups, {"route": route}, sizes)

    def gemm(self, groups: ExpertGroups, sorted_pairs: Buffer, *, pairs: bool) -> Dispatch:
        """All pairs of rows and experts, a tile at a time; ``pairs``: each has a row of its own."""
        height = self.matrix.together
        sizes = {"SHARE": 1 if pairs else groups.top, "PAIRS_AT": groups.pairs_at}
        name, width = "gemm_direct", 64
        if self.tuning.tiled:
            tile = self.tuning.expert_gemm(groups.tiles, groups.tile, height)
            name, width, sizes = "gemm", tile["TN"], sizes | tile
        spread = (-(-height // width), groups.tiles, 1)
        bound = {"groups": sorted_pairs}
        return self.made(name, "linear/finish_experts", spread, bound, sizes)

    def made(
        self,
        name: str,
        finish: str,
        groups: tuple[int, int, int],
        bound: Mapping[str, Buffer],
        sizes: Mapping[str, float],
    ) -> Dispatch:
        """A dispatch that bears the matrix's name."""
        matrix, part = self.matrix, self.part
        made = kernel(
            name,
            snippets={"finish": finish, "quant": f"quant/{part.format}", **self.snippets},
            N=matrix.rows,
            ROW0=part.row0,
            SLICE=part.rows,
            UNITS=matrix.units,
            EXPERT_ROWS=matrix.together,
            Y_STRIDE=self.stride,
            **sizes,
            **self.constants,
        )
        return Dispatch(made, {**self.buffers, **part.buffers, **bound}, groups, matrix.name)


def answers_bytes(config: ModelConfig, groups: ExpertGroups) -> int:
    """Bytes of the results of all pairs of a row and an expert."""
    return 4 * groups.pairs * padded(config.hidden_size)
