"""A linear layer as a dispatch: GEMV for one row or a few, GEMM for a chunk of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import Kernel, kernel
from webllm_py.models.gemv_layer import GemvLayer
from webllm_py.models.weights import Matrix
from webllm_py.models.workgroup_shapes import GemvShape, RowsShape

__all__ = ["DOT4_FORMATS", "MINIMA", "Gemm", "Linear", "quantize_rows"]

MINIMA = (
    "q4_1", "q5_1", "q2_k", "q4_k", "q5_k",
    "affine4_32", "affine4_64", "affine4_128", "affine8_32", "affine8_128",
)  # fmt: skip
"""Of DOT4_FORMATS, those whose weights have minima, which are multiplied with sums of x."""
DOT4_FORMATS = ("q4_0", "q8_0", "q4f16_1", "q4f32_1", "q5_0", "q3_k", "q6_k", *MINIMA)
"""What kernels/dot4 reads: for gemv_dot4.wgsl, gemv_rows_dot4.wgsl and gemm_dot4.wgsl."""
WIDE = ("q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "affine8_32", "affine8_128")
"""Of which a unit is 12 words or more, with what scales it."""
WORKGROUP_BYTES = 16 << 10  # what every device has
NORM = ("NORM", "EPS")  # constants of layers that norm their rows
Gemm: TypeAlias = Literal["plain", "dot4", "matrices"]
"""How chunks of rows are multiplied: in float32, in 8 bits, by subgroup matrices of float16."""


def scales_at(matrix: Matrix, rows: int) -> int:
    """Where the scales of a matrix's input in 8 bits begin, in bytes: after ``rows`` rows."""
    return rows * matrix.blocks * 32


def sums_at(matrix: Matrix, rows: int) -> int:
    """Where its sums begin, behind the scales, if there are any."""
    return scales_at(matrix, rows) + rows * matrix.blocks * 4


def quantize_rows(
    matrix: Matrix,
    buffers: Mapping[str, Buffer],
    rows: int,
    max_rows: int,
    *,
    sums: bool,
    normed: bool,
    eps: float,
    most_threads: int,
) -> Dispatch:
    """A chunk of rows to 8 bits, of at most ``max_rows``, for ``gemm_dot4``.

    Args:
        sums: with what minima are multiplied with.
        normed: whether rows are normed first.
    """
    threads = min(most_threads, 128)
    made = kernel(
        "x_quantize",
        BLOCKS=matrix.blocks,
        K=matrix.columns,
        SCALES_AT=scales_at(matrix, max_rows) // 4,
        SUMS_AT=sums_at(matrix, max_rows) // 4 if sums else 0,
        NORM=normed,
        EPS=eps,
        LANES=threads,
        THREADS=threads,
    )
    return Dispatch(made, buffers, (1, rows // 4, 1))


@dataclass(frozen=True)
class Linear(GemvLayer):
    """A slice of a matrix, to be multiplied with rows.

    Attributes:
        snippets: see kernels/gemv.wgsl.
        constants: of the norm, the bias and the epilogue.
        across: most workgroups along x.
    """

    across: int

    def dispatch(self, rows: int) -> Dispatch:
        """For ``rows`` rows; up to ``few_rows`` of them the kernels norm themselves."""
        if rows == 1:
            return self.gemv()
        return self.gemv_rows(rows) if rows <= self.tuning.few_rows else self.gemm(rows)

    def gemv(self, shape: GemvShape | None = None) -> Dispatch:
        """For one row, in the tuning's shape or another."""
        shape = shape or self.shape
        groups = -(-self.part.rows // (4 * shape.quads * shape.groups))
        if shape.tile:
            made = self.rounding.kernel("gemv_dot4", K=self.matrix.columns, **shape.constants)
        else:
            made = self.kernel("gemv", K=self.matrix.columns, **shape.constants)
        return self.spread(made, groups, 1)

    @property
    def shapes_rounding(self) -> list[GemvShape]:
        """Shapes for one row in 8 bits, where there is a reader and workgroup memory for that."""
        if self.part.format not in DOT4_FORMATS or self.snippets["finish"] != "linear/finish":
            return []
        room = WORKGROUP_BYTES
        if self.snippets.get("source") == "source/splits":
            room -= 8 * int(self.constants["HEADS"] * self.constants["SPLITS"])
        wide = self.part.format in WIDE
        shapes = self.tuning.gemv_rounding(self.part.rows, self.matrix.units, wide=wide)
        return [shape for shape in shapes if shape.nbytes <= room]

    @property
    def rounding(self) -> Linear:
        """It, with the reader of gemv_dot4.wgsl, and without what only adapters need."""
        snippets = {
            name: word for name, word in self.snippets.items() if name not in ("low", "ahead")
        }
        return replace(self, snippets=snippets | {"quant": f"dot4/{self.part.format}"})

    @property
    def rounds(self) -> bool:
        """Whether single rows are rounded to 8 bits. So are a few, which get the same results."""
        return self.shape.tile > 0

    @property
    def height(self) -> int:
        """Rows of the slice."""
        return self.part.rows

    @property
    def problem(self) -> str:
        """What the speed of a GEMV depends on: "gemv q4_0 row 9728x896 glu norm"."""
        size = f"{self.part.rows}x{self.matrix.columns}"
        epilogue = self.snippets["epilogue"].removeprefix("epilogue/")
        source = self.snippets.get("source", "source/row").removeprefix("source/")
        more = [word.lower() for word in ("NORM", "BIAS") if self.constants.get(word)]
        return " ".join(("gemv", self.part.format, source, size, epilogue, *more))

    def gemv_rows(self, rows: int) -> Dispatch:
        """For a few rows, a weight read once for up to 8 of them."""
        return self.few_rows("gemv_rows", self.tuning.rows_shape, rows, K=self.matrix.columns)

    def round_rows(self, rows: int, target: Buffer) -> Dispatch:
        """Round a few rows, normed first if the layer does that, for ``gemv_rows_dot4``."""
        threads = min(self.tuning.reduce_threads, 128)
        norm = {name: self.constants[name] for name in NORM if name in self.constants}
        made = kernel(
            "round_rows",
            snippets={},
            UNITS=self.matrix.units,
            K=self.matrix.columns,
            LANES=threads,
            THREADS=threads,
            **norm,
        )
        bound = {"x": self.buffers["x"], "vectors": self.buffers["vectors"], "y": target}
        return Dispatch(made, bound, (-(-self.matrix.units // threads), rows, 1))

    def gemv_rows_dot4(self, rows: int, rounded: Buffer) -> Dispatch:
        """For a few rows that ``round_rows`` wrote."""
        constants = {name: value for name, value in self.constants.items() if name not in NORM}
        buffers = {**self.buffers, "x": rounded}
        layer = replace(self.rounding, constants=constants, buffers=buffers)
        return layer.few_rows("gemv_rows_dot4", self.tuning.rounded_rows_shape, rows)

    def few_rows(self, name: str, shape: RowsShape, rows: int, **constants: float) -> Dispatch:
        """One of the kernels for a few rows."""
        shared = shape.constants(rows, self.part.rows, self.matrix.units)
        made = self.kernel(name, **constants, **shared)
        groups = -(-self.part.rows // (4 * shared["GROUPS"]))
        return self.spread(made, groups, rows // shared["ROWS"])

    def gemm(self, rows: int) -> Dispatch:
        """For a chunk of rows."""
        if not self.tuning.tiled:
            groups = -(-self.part.rows // 64)
            return self.made(self.kernel("gemm_direct"), (groups, rows // 4, 1))
        tile = self.tuning.gemm(rows, self.part.rows)
        groups = -(-self.part.rows // tile["TN"])
        return self.made(self.kernel("gemm", **tile), (groups, rows // tile["TM"], 1))

    def gemm_dot4(self, rows: int, max_rows: int) -> Dispatch:
        """For a chunk of rows in 8 bits, of at most ``max_rows``."""
        most_splits = 2 if self.part.format == "q2_k" else 4  # it fills workgroup memory with more
        tile = self.tuning.gemm_dot4(rows, self.part.rows, most_splits)
        beside = {
            "SCALES_AT": scales_at(self.matrix, max_rows) // 16,
            "SUMS_AT": sums_at(self.matrix, max_rows) // 16,
        }
        made = self.kernel("gemm_dot4", **beside, **tile)
        groups = -(-self.part.rows // tile["TN"])
        return self.made(made, (groups, rows // tile["TM"], 1))

    def gemm_matrices(self, rows: int) -> Dispatch:
        """For a chunk of a multiple of 64 rows, in float16 by subgroup matrices."""
        tile = self.tuning.gemm_matrices(rows, self.part.rows)
        groups = -(-self.part.rows // tile["TN"])
        return self.made(self.kernel("gemm_matrices", **tile), (groups, rows // 64, 1))

    def kernel(self, name: str, **shape: float) -> Kernel:
        """One of the linear kernels, with the constants that all of them have."""
        sizes = {"UNITS": self.matrix.units, "N": self.matrix.rows}
        held = {"ROW0": self.part.row0, "SLICE": self.part.rows}
        return kernel(name, snippets=self.snippets, **sizes, **held, **shape, **self.constants)

    def spread(self, kernel: Kernel, groups: int, deep: int) -> Dispatch:
        """A dispatch of ``groups`` workgroups along x, or along x and y where x has too few."""
        across = min(groups, self.across)
        return self.made(kernel, (across, -(-groups // across), deep))

    def made(self, kernel: Kernel, groups: tuple[int, int, int]) -> Dispatch:
        """A dispatch that bears the matrix's name."""
        return Dispatch(kernel, self.buffers, groups, self.matrix.name)
