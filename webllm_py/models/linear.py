"""One slice of a linear layer as a dispatch: GEMV for a single row, GEMM for a chunk of rows.

``words`` are the kernel's snippets, ``constants`` its epilogue's and bias's; see kernels/gemv.wgsl.
"""

from __future__ import annotations

from collections.abc import Mapping

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Matrix, Slice

__all__ = ["gemm", "gemv"]


def gemv(
    matrix: Matrix,
    part: Slice,
    buffers: Mapping[str, Buffer],
    words: Mapping[str, str],
    constants: Mapping[str, float],
    tuning: Tuning,
    *,
    across: int,
) -> Dispatch:
    """One row times a slice of a matrix; at most ``across`` workgroups along x."""
    shape = tuning.gemv(part.rows, matrix.units)
    groups = -(-part.rows // (4 * shape["QUADS"] * shape["GROUPS"]))
    across = min(groups, across)
    return Dispatch(
        kernel(
            "gemv",
            snippets=words,
            K=matrix.columns,
            **sizes_of(matrix, part),
            **shape,
            **constants,
        ),
        buffers,
        (across, -(-groups // across), 1),
        matrix.name,
    )


def gemm(
    matrix: Matrix,
    part: Slice,
    buffers: Mapping[str, Buffer],
    words: Mapping[str, str],
    constants: Mapping[str, float],
    tuning: Tuning,
    *,
    rows: int,
) -> Dispatch:
    """A chunk of rows times a slice of a matrix."""
    sizes = {**sizes_of(matrix, part), **constants}
    if not tuning.tiled:
        direct = kernel("gemm_direct", snippets=words, **sizes)
        return Dispatch(direct, buffers, (-(-part.rows // 64), rows // 4, 1), matrix.name)
    tile = tuning.gemm(rows, part.rows)
    tiled = kernel("gemm", snippets=words, **sizes, **tile)
    groups = (-(-part.rows // tile["TN"]), rows // tile["TM"], 1)
    return Dispatch(tiled, buffers, groups, matrix.name)


def sizes_of(matrix: Matrix, part: Slice) -> dict[str, int]:
    """Constants that every linear kernel has."""
    return {"UNITS": matrix.units, "N": matrix.rows, "ROW0": part.row0, "SLICE": part.rows}
