"""The matrices of a mixture's experts as dispatches: GEMV for each row and each of its experts, or
GEMM for the rows that go to the same expert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.config import ModelConfig
from webllm_py.models.gemv_layer import GemvLayer
from webllm_py.models.linear import DOT4_FORMATS
from webllm_py.models.tuning import Tuning
from webllm_py.models.workgroup_shapes import GemvShape

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
class ExpertLinear(GemvLayer):
    """A slice of the experts' matrices, to be multiplied with rows.

    Attributes:
        snippets: without what ends a kernel.
        stride: elements of a row of the result.
        top: experts that a row goes to.
        pairs: whether each row belongs to a pair of a token and one of its experts. Where rows are
            sorted, the result then has a row for each pair; else the weighted sum of a token's
            pairs.
    """

    stride: int
    top: int
    pairs: bool

    def gemv(self, shape: GemvShape | None = None, rows: int = 1) -> Dispatch:
        """Each of so many rows, with each of its experts, in the tuning's shape or another."""
        shape = shape or self.shape
        across = -(-self.matrix.together // (4 * shape.groups))
        groups = (across, 1 if self.pairs else self.top, rows)
        sizes = {"LANES": shape.lanes, "GROUPS": shape.groups, "THREADS": shape.threads}
        snippets = {"product": "experts/floats"}
        if shape.tile:
            sizes |= {"TILE": shape.tile}
            snippets = {"product": "experts/rounded", "quant": f"dot4/{self.part.format}"}
        sizes |= {"TOP": self.top, "SUM": self.pairs}
        return self.made("expert_gemv", groups, sizes, finish="linear/finish", **snippets)

    @property
    def shapes_rounding(self) -> list[GemvShape]:
        """Shapes in 8 bits, where there is a reader for that."""
        if self.part.format not in DOT4_FORMATS:
            return []
        found = self.tuning.gemv_rounding(self.height, self.matrix.units, wide=True)
        return [*dict.fromkeys(shape._replace(quads=1, unroll=1) for shape in found)]

    def shapes_near(self, most_threads: int) -> list[GemvShape]:
        """Of those near the default one, what expert_gemv.wgsl knows."""
        near = super().shapes_near(most_threads)
        return [shape for shape in near if shape.quads == shape.unroll == 1]

    @property
    def height(self) -> int:
        """Rows of all experts that one row goes to."""
        return self.matrix.together * self.top

    @property
    def nbytes(self) -> int:
        """Bytes of the experts that one row goes to, on average."""
        return super().nbytes * self.height // self.matrix.rows

    @property
    def problem(self) -> str:
        """What the speed of a GEMV depends on: "gemv q4_0 experts 8 of 1536x2048 glu"."""
        size = f"{self.top} of {self.matrix.together}x{self.matrix.columns}"
        epilogue = self.snippets["epilogue"].removeprefix("epilogue/")
        return f"gemv {self.part.format} experts {size} {epilogue}"

    def gemm(self, groups: ExpertGroups) -> Dispatch:
        """All pairs of rows and experts, a tile at a time."""
        height = self.matrix.together
        sizes = {"SHARE": 1 if self.pairs else groups.top, "PAIRS_AT": groups.pairs_at}
        name, width = "gemm_direct", 64
        if self.tuning.tiled:
            tile = self.tuning.expert_gemm(groups.tiles, groups.tile, height)
            name, width, sizes = "gemm", tile["TN"], sizes | tile
        spread = (-(-height // width), groups.tiles, 1)
        return self.made(name, spread, sizes, finish="linear/finish_experts")

    def made(
        self, name: str, groups: tuple[int, int, int], sizes: Mapping[str, float], **snippets: str
    ) -> Dispatch:
        """A dispatch that bears the matrix's name."""
        matrix, part = self.matrix, self.part
        made = kernel(
            name,
            snippets={"quant": f"quant/{part.format}", **self.snippets, **snippets},
            N=matrix.rows,
            ROW0=part.row0,
            SLICE=part.rows,
            UNITS=matrix.units,
            EXPERT_ROWS=matrix.together,
            Y_STRIDE=self.stride,
            **sizes,
            **self.constants,
        )
        return Dispatch(made, self.buffers, groups, matrix.name)


def answers_bytes(config: ModelConfig, groups: ExpertGroups) -> int:
    """Bytes of the results of all pairs of a row and an expert."""
    return 4 * groups.pairs * padded(config.hidden_size)
