"""How a matrix is cut where it is too large for one binding, and rows that a part takes."""

from __future__ import annotations

import pytest

from webllm_py import UnsupportedModelError
from webllm_py.checkpoint.checkpoint import FORMATS, TensorInfo
from webllm_py.models.weights import Matrix, Part
from webllm_py.runtime.weights.storage import slice_plans


def tensor(rows: int, columns: int, format: str = "F32") -> TensorInfo:
    return TensorInfo("t", (rows, columns), FORMATS[format], None, 0, 0)  # type: ignore[arg-type]


def test_experts_stay_whole() -> None:
    matrix = Matrix("m", 7 * 24, 64, (Part(tensor(7 * 24, 64)),), together=24)
    plans = slice_plans(matrix, None, 64 * 64 * 4)  # room for 64 rows
    assert [(plan.row0, plan.rows) for plan in plans] == [(0, 48), (48, 48), (96, 48), (144, 24)]


def test_what_alternates_is_alike() -> None:
    """Gates and ups of experts; not those of a shared one behind them."""
    parts = [Part(tensor(7 * 12, 64), i, 2) for i in range(2)]
    shared = [Part(tensor(12, 64, "F16"), 7 * 24 + i, 2) for i in range(2)]
    matrix = Matrix("m", 8 * 24, 64, (*parts, *shared), together=24)
    plans = slice_plans(matrix, None, 1 << 20)
    assert [(plan.format, plan.row0, plan.rows) for plan in plans] == [
        ("f32", 0, 168),
        ("f16", 168, 24),
    ]
    matrix = Matrix("m", 7 * 24, 64, (parts[0], Part(tensor(84, 64, "F16"), 1, 2)), together=24)
    with pytest.raises(UnsupportedModelError, match="stored in different formats"):
        slice_plans(matrix, None, 1 << 20)
    with pytest.raises(ValueError, match="quantize them alike"):
        slice_plans(matrix, {"u": "q8"}, 1 << 20)


def test_rows_of_some_heads() -> None:
    """k of three heads of 8 elements, whose q, k and v lie next to each other."""
    part = Part(tensor(3 * 24, 64), 24, first=8, count=24, run=8, apart=24)
    assert part.rows == 24
    wanted = [*range(8, 16), *range(32, 40), *range(56, 64)]
    assert [part.source(row) for row in range(part.rows)] == wanted
