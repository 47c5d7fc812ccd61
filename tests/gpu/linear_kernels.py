"""Runs the linear kernels on weights of any format; their snippets and buffers."""

from __future__ import annotations

import numpy as np
from runners import ROW, Runner

from webllm_py.gpu.kernels import kernel


def snippets(name: str, fmt: str, epilogue: str) -> dict[str, str]:
    return {
        "quant": f"quant/{fmt}",
        "epilogue": f"epilogue/{epilogue}",
        "finish": "linear/finish",
        **(ROW if name == "gemv" else {}),
    }


def padded_rows(values: np.ndarray) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, -values.shape[1] % 32))).astype(np.float32)


def step_words(
    positions: list[int], *, tokens: list[int] | None = None, pages: int = 0
) -> np.ndarray:
    """The step buffer: rows of slot 0, page table from word 4 + 4 * 64."""
    words = np.zeros(4 + 4 * 64 + 64, np.uint32)
    words[0] = len(positions)
    for m, position in enumerate(positions):
        words[4 + 4 * m : 7 + 4 * m] = ((tokens or [0] * 64)[m], position, 0)
    words[4 + 4 * 64 :] = np.arange(64)[::-1]  # logical page i is physical page 63 - i
    return words


async def embedded(
    runner: Runner, fmt: str, arrays: dict[str, np.ndarray], rows: int, columns: int
) -> np.ndarray:
    """Every row, as the embedding reads it."""
    out = await runner.run(
        kernel(
            "embed",
            snippets={"quant": f"quant/{fmt}"},
            UNITS=columns // 8,
            SLICE=rows,
            STEP_ROWS=4,
        ),
        {
            "step": step_words([0] * rows, tokens=[*range(rows)]),
            "y": np.zeros((rows, columns), np.float32),
            **arrays,
        },
        (-(-columns // 512), rows),
    )
    return out["y"]


async def multiplied(
    runner: Runner, fmt: str, arrays: dict[str, np.ndarray], rows: int, columns: int
) -> np.ndarray:
    """Every row, a column at a time: rows of the identity pick them."""
    out = await runner.run(
        kernel(
            "gemm_direct",
            snippets=snippets("gemm_direct", fmt, "store"),
            UNITS=columns // 8,
            N=rows,
            SLICE=rows,
            Y_STRIDE=rows,
        ),
        {
            "x": np.eye(columns, dtype=np.float32),
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((columns, rows), np.float32),
            **arrays,
        },
        (1, columns // 4),
    )
    return out["y"].T


async def chunk_product(
    runner: Runner, fmt: str, arrays: dict[str, np.ndarray], x: np.ndarray, n: int
) -> np.ndarray:
    """x times a matrix of ``n`` <= 128 rows, of 32 rows of x, by the tiled GEMM."""
    m, columns = x.shape
    out = await runner.run(
        kernel(
            "gemm",
            snippets=snippets("gemm", fmt, "store"),
            UNITS=columns // 8,
            N=n,
            SLICE=n,
            Y_STRIDE=n,
            TM=32,
            TN=64,
            PREFETCH=False,
            THREADS=32,
        ),
        {
            "x": x,
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((m, n), np.float32),
            **arrays,
        },
        (2, 1),
    )
    return out["y"]
