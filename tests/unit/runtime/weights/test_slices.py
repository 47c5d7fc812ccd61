"""How a matrix is cut where it is too large for one binding, and rows that a part takes."""

from __future__ import annotations

from webllm_py.checkpoint.checkpoint import FORMATS, TensorInfo
from webllm_py.models.weights import Matrix, Part
from webllm_py.runtime.weights.storage import slice_plans


def tensor(rows: int, columns: int) -> TensorInfo:
    return TensorInfo("t", (rows, columns), FORMATS["F32"], None, 0, 0)  # type: ignore[arg-type]


def test_experts_stay_whole() -> None:
    matrix = Matrix("m", 7 * 24, 64, (Part(tensor(7 * 24, 64)),), together=24)
    plans = slice_plans(matrix, None, 64 * 64 * 4)  # room for 64 rows
    assert [(plan.row0, plan.rows) for plan in plans] == [(0, 48), (48, 48), (96, 48), (144, 24)]


def test_rows_of_some_heads() -> None:
    """k of three heads of 8 elements, whose q, k and v lie next to each other."""
    part = Part(tensor(3 * 24, 64), 24, first=8, count=24, run=8, apart=24)
    assert part.rows == 24
    wanted = [*range(8, 16), *range(32, 40), *range(56, 64)]
    assert [part.source(row) for row in range(part.rows)] == wanted
